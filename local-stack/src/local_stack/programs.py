"""A program of the stack: how to start it, when it is ready, how it ends."""

import http.client
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local_stack.problems import LaunchProblem
from local_stack.processes import Pause, Started, last_lines, note, spawn, stop_child

PROBE_TIMEOUT_S = 2.0
POLL_S = 0.05
STOP_GRACE_S = 12.0


@dataclass(frozen=True)
class Program:
    """A server on 127.0.0.1:`port` that is ready when `ready_path` answers 200. `env` is its whole environment."""

    name: str
    command: list[str]
    env: Mapping[str, str] = field(repr=False)
    port: int
    ready_path: str = "/readyz"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Child:
    """A started program, its output in `log`. `started_s` is on the clock of `time.monotonic`."""

    def __init__(self, program: Program, log: Path, *, is_again: bool = False) -> None:
        """`is_again`: its log goes on where an earlier process of the program left it."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self.program = program
        self.log = log
        self.started_s = time.monotonic()
        with log.open("ab" if is_again else "wb") as file:
            self.process = spawn(program.command, output=file, env=program.env)
        self.record: Started = note(program.name, self.process, program.command)

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def url(self) -> str:
        return self.program.url

    def is_ready(self) -> bool:
        """One probe. Raises LaunchProblem when the process has ended."""
        self.check_alive()
        return answers_ok(self.program.port, self.program.ready_path)

    def check_alive(self) -> None:
        """Raises LaunchProblem with the last lines of its log when the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise LaunchProblem(
                "\n".join([f"{self.name} ended with {ending(code)}; log: {self.log}", *last_lines(self.log)])
            )

    def stop(self, *, grace_s: float = STOP_GRACE_S) -> None:
        stop_child(self.process, grace_s=grace_s)


def wait_until_ready(children: Sequence[Child], *, timeout_s: float, pause: Pause = time.sleep) -> None:
    """Returns when all are ready. Raises LaunchProblem when one ends or the time is over."""
    give_up_at = time.monotonic() + timeout_s
    waiting = list(children)
    while waiting := [child for child in waiting if not child.is_ready()]:
        if time.monotonic() > give_up_at:
            names = ", ".join(child.name for child in waiting)
            raise LaunchProblem(f"Not ready after {timeout_s:.0f} s: {names} (see {waiting[0].log})")
        pause(POLL_S)


def answers_ok(port: int, path: str) -> bool:
    return get_status(port, path) == http.client.OK


def get_status(port: int, path: str, headers: Mapping[str, str] | None = None) -> int:
    """The status of GET 127.0.0.1:port/path; 0 when there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def ending(code: int) -> str:
    """An exit code in words; a negative one is a signal's number."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def run_once(command: Sequence[str], *, env: Mapping[str, str], log: Path, pause: Pause = time.sleep) -> int:
    """Run a program to its end, output appended to `log`. Returns the exit code."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return _finish(spawn(command, output=file, env=env), pause)


def output_of(command: Sequence[str], *, env: Mapping[str, str], log: Path, pause: Pause = time.sleep) -> str:
    """What a short program prints. Raises LaunchProblem with the last line of `log` when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as output, log.open("ab") as errors:
        code = _finish(spawn(command, output=output, errors=errors, env=env), pause)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if code != 0:
        raise LaunchProblem(f"{command[2]} ended with {ending(code)}: {' '.join(last_lines(log, 1))} (log: {log})")
    return text


def _finish(process: subprocess.Popen[bytes], pause: Pause) -> int:
    """Wait for the end; when `pause` raises, the process is ended first."""
    try:
        while process.poll() is None:
            pause(POLL_S)
    finally:
        stop_child(process, grace_s=5.0)
    return process.returncode
