"""How long a warm `make up` takes until everything is ready, as the runner itself tells."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from local_stack.processes import spawn, stop_child

READY = re.compile(r"Ready after ([\d.]+) s \(without the model server ([\d.]+) s\)")
READY_WITHIN_S = 180.0
STOP_GRACE_S = 40.0
POLL_S = 0.1


@dataclass(frozen=True)
class UpTimes:
    """Seconds from the start of the runner until ready, with the model server and without."""

    all_s: float
    services_s: float


def read_ready_line(text: str) -> UpTimes | None:
    found = READY.search(text)
    return UpTimes(float(found[1]), float(found[2])) if found else None


def warm_start(folder: Path) -> UpTimes | None:
    """The second of two starts on the same state folder; None when one of them did not come up."""
    times = None
    for name in ("first", "second"):
        times = _start_once(folder / "state", folder / f"up-{name}.log")
        if times is None:
            return None
    return times


def _start_once(state: Path, log: Path) -> UpTimes | None:
    command = [sys.executable, "-m", "local_stack", "up", "--free-ports", "--state-dir", str(state)]
    with log.open("wb") as file:
        process = spawn(command, output=file)
    try:
        return _wait_for_ready_line(process, log)
    finally:
        process.send_signal(signal.SIGINT)
        stop_child(process, grace_s=STOP_GRACE_S)


def _wait_for_ready_line(process: subprocess.Popen[bytes], log: Path) -> UpTimes | None:
    give_up_at = time.monotonic() + READY_WITHIN_S
    while process.poll() is None and time.monotonic() < give_up_at:
        times = read_ready_line(log.read_text(errors="replace"))
        if times is not None:
            return times
        time.sleep(POLL_S)
    return None
