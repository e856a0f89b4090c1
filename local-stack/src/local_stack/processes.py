"""Starting, stopping and recognising processes. Every child has a session of its own, so Ctrl-C reaches only us."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from local_stack import die_with_parent

Pause = Callable[[float], None]
POLL_S = 0.05
START_TIME_TOLERANCE_S = 2.0


@dataclass(frozen=True)
class Identity:
    """The user that a child runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Started:
    """A process that we started, so that a later run can tell it from a stranger with the same pid."""

    name: str
    pid: int
    started_at: float
    command: list[str]


def spawn(
    command: Sequence[str],
    *,
    output: BinaryIO,
    errors: BinaryIO | None = None,
    env: Mapping[str, str] | None = None,
    identity: Identity | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start `command` in its own session; `errors` None goes to `output`. On Linux `death_signal` comes when we end.

    Call it from the main thread: the end of the calling thread counts as the parent's."""
    owner = f"{identity.uid}:{identity.gid}" if identity else "-"
    wrapper = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), str(int(death_signal)), owner]
    return subprocess.Popen(
        [*wrapper, *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors or subprocess.STDOUT,
        env=env,
        start_new_session=True,
    )


def note(name: str, process: subprocess.Popen[bytes], command: Sequence[str]) -> Started:
    """The record of a child that was just started; `started_at` is 0 when it is gone already."""
    try:
        started_at = psutil.Process(process.pid).create_time()
    except psutil.Error:
        started_at = 0.0
    return Started(name, process.pid, started_at, list(command))


def find(started: Started) -> psutil.Process | None:
    """The running process of this record: same pid, start time and arguments; None when it is gone or somebody else's.

    The first word of the command is not compared: a script shows its interpreter there."""
    try:
        process = psutil.Process(started.pid)
        if abs(process.create_time() - started.started_at) > START_TIME_TOLERANCE_S:
            return None
        arguments = started.command[1:]
        seen = _command_line(process)
    except psutil.Error:
        return None
    return process if seen[len(seen) - len(arguments) :] == arguments and len(seen) > len(arguments) else None


def _command_line(process: psutil.Process) -> list[str]:
    """For a moment a process that is just being started shows none."""
    give_up_at = time.monotonic() + START_TIME_TOLERANCE_S
    while not (seen := process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > give_up_at:
            break
        time.sleep(0.01)
    return seen


def stop_child(process: subprocess.Popen[bytes], *, grace_s: float, pause: Pause = time.sleep) -> None:
    """SIGTERM, a bounded wait, SIGKILL; then what is left of the processes that it started itself."""
    offspring = _offspring(process.pid) if process.poll() is None else []
    try:
        process.terminate()
        wait_for_exit(process, grace_s, pause)
    except subprocess.TimeoutExpired:
        process.kill()
    process.wait(timeout=10)
    _kill(offspring)


def wait_for_exit(process: subprocess.Popen[bytes], timeout_s: float, pause: Pause = time.sleep) -> int:
    """The exit code. Raises subprocess.TimeoutExpired, and whatever `pause` raises."""
    give_up_at = time.monotonic() + timeout_s
    while process.poll() is None:
        if time.monotonic() > give_up_at:
            raise subprocess.TimeoutExpired(process.args, timeout_s)
        pause(POLL_S)
    return process.returncode


def stop_stranger(process: psutil.Process, *, grace_s: float) -> None:
    """End a process of an earlier run and what it started: SIGTERM, a bounded wait, SIGKILL."""
    offspring = _offspring(process.pid)
    with suppress(psutil.Error):
        process.terminate()
        process.wait(timeout=grace_s)
    _kill([process, *offspring])


def _offspring(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _kill(processes: list[psutil.Process]) -> None:
    """SIGKILL those that still run. psutil compares start times, so a reused pid is never hit."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
            process.wait(timeout=10)


def last_lines(log: Path, count: int = 15, tail_bytes: int = 16_384) -> list[str]:
    """The end of a log file; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - tail_bytes))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []
