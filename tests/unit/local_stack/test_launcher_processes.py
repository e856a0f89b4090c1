"""Children of the runner: how they end, and that they end with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from local_stack.ports import free_port
from local_stack.problems import LaunchProblem
from local_stack.processes import spawn, stop_child
from local_stack.programs import Child, Program, output_of, run_once, wait_until_ready

from tests.support.waiting import eventually

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
PARENT = """
import subprocess, sys, time
children = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2)]
print(*[child.pid for child in children], flush=True)
time.sleep(60)
"""
# A runner that is killed: it starts a child the way the runner does and then waits.
RUNNER = """
import sys, time
from local_stack.processes import spawn
with open(sys.argv[1], "wb") as log:
    print(spawn([sys.executable, "-c", "import time; time.sleep(60)"], output=log).pid, flush=True)
time.sleep(60)
"""


def python(name: str, code: str, port: int = 1) -> Program:
    return Program(name, [sys.executable, "-c", code], dict(os.environ), port)


def read(log: Path) -> str:
    return log.read_text()


async def has_line(log: Path) -> str:
    return read(log)


def start_runner(log: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", RUNNER, str(log)], stdout=subprocess.PIPE, text=True)


async def test_a_child_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = spawn([sys.executable, "-c", DEAF], output=output)
    await eventually(lambda: has_line(log))
    stop_child(process, grace_s=0.1)
    assert process.returncode == -signal.SIGKILL


async def test_what_a_child_started_itself_ends_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = spawn([sys.executable, "-c", PARENT], output=output)
    grandchildren = [int(pid) for pid in (await eventually(lambda: has_line(log))).split()]
    stop_child(process, grace_s=60)
    assert [pid for pid in grandchildren if psutil.pid_exists(pid)] == []


async def test_a_child_ends_when_its_runner_is_killed(tmp_path: Path) -> None:
    runner = start_runner(tmp_path / "log")
    assert runner.stdout is not None
    child = psutil.Process(int(runner.stdout.readline()))
    # The child first asks the system to be told; until then it is still the wrapper.
    await eventually(lambda: is_started(child))
    runner.kill()
    runner.communicate(timeout=300)
    if sys.platform == "linux":
        await eventually(lambda: is_gone(child))
    else:
        child.kill()  # no such thing on this system: there the run file is the record


async def is_started(process: psutil.Process) -> bool:
    return "die_with_parent" not in " ".join(process.cmdline())


async def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_program_that_dies_is_named_with_the_last_lines_of_its_log(tmp_path: Path) -> None:
    child = Child(python("brittle", "print('first'); print('no money left'); raise SystemExit(3)"), tmp_path / "log")
    with pytest.raises(LaunchProblem, match=r"(?s)brittle ended with exit code 3.*no money left"):
        wait_until_ready([child], timeout_s=300)


def test_a_program_that_never_gets_ready_is_named(tmp_path: Path) -> None:
    child = Child(python("slow", "import time; time.sleep(60)", free_port()), tmp_path / "log")
    try:
        with pytest.raises(LaunchProblem, match="Not ready after 0 s: slow"):
            wait_until_ready([child], timeout_s=0)
    finally:
        child.stop()


def test_a_program_that_cannot_be_run_says_so_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run_once(["/nowhere/program"], env=os.environ, log=log) == 1
    assert "cannot run /nowhere/program" in log.read_text()


def test_only_what_a_short_program_prints_is_its_answer(tmp_path: Path) -> None:
    code = "import sys; print('answer'); print('chatter', file=sys.stderr)"
    assert output_of([sys.executable, "-c", code], env=os.environ, log=tmp_path / "log") == "answer\n"
    assert (tmp_path / "log").read_text() == "chatter\n"
    with pytest.raises(LaunchProblem, match="exit code 1: poor"):
        output_of([sys.executable, "-c", "raise SystemExit('poor')"], env=os.environ, log=tmp_path / "log")


def test_a_stop_request_ends_a_short_program_at_once(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(_seconds: float) -> None:
        raise Stop

    with pytest.raises(Stop):
        run_once(["sleep", "60.25"], env=os.environ, log=tmp_path / "log", pause=stop)
    assert not [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", "60.25"]]
