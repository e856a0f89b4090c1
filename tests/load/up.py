"""How long a warm `make up` takes until everything is ready, as the runner itself tells."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_stack.processes import spawn, stop_child

from tests.load.fake_responses import MODEL

READY = re.compile(r"Ready after ([\d.]+) s")
READY_WITHIN_S = 180.0
STOP_GRACE_S = 40.0
# A database or model of somebody's own is not what is measured, and must not be written to.
CHOICES_OF_THE_USER = (
    *("DATABASE_URL", "PGHOST", "PGSERVICE", "LLM_URL", "LLAMA_STACK_URL", "LLAMA_STACK_MODEL"),
    *("EVENTING_ENABLED", "BROKER_URL"),
    *("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN", "SLACK_API_URL"),
)
POLL_S = 0.1


@dataclass(frozen=True)
class UpTimes:
    """Seconds from the start of the runner until ready; None: it did not come up. `services_s`: without a model server."""

    all_s: float | None
    services_s: float | None


def read_ready_line(text: str) -> float | None:
    found = READY.search(text)
    return float(found[1]) if found else None


def warm_starts(folder: Path, model_url: str) -> UpTimes:
    """A first start on a state folder, a second one, and one of the services alone with the fake model."""
    state = folder / "state"
    start_once(state, folder / "up-first.log")
    all_s = start_once(state, folder / "up-second.log")
    fake = {"LLAMA_STACK_URL": model_url, "LLAMA_STACK_MODEL": MODEL}
    services_s = start_once(state, folder / "up-services.log", ["--services-only"], fake)
    reset = [sys.executable, "-m", "local_stack", "reset", "--state-dir", str(state)]
    subprocess.run(reset, stdout=subprocess.DEVNULL, timeout=READY_WITHIN_S, check=True)
    return UpTimes(all_s, services_s)


def start_once(
    state: Path, log: Path, options: list[str] | None = None, more_env: Mapping[str, str] | None = None
) -> float | None:
    """Start the runner, wait for its ready line, end it as Ctrl-C does. Returns the seconds that the line tells."""
    command = [sys.executable, "-m", "local_stack", "up", "--free-ports", "--state-dir", str(state), *(options or [])]
    env = {name: value for name, value in os.environ.items() if name not in CHOICES_OF_THE_USER}
    with log.open("wb") as file:
        process = spawn(command, output=file, env={**env, **(more_env or {})})
    try:
        return _wait_for_ready_line(process, log)
    finally:
        process.send_signal(signal.SIGINT)
        stop_child(process, grace_s=STOP_GRACE_S)


def _wait_for_ready_line(process: subprocess.Popen[bytes], log: Path) -> float | None:
    give_up_at = time.monotonic() + READY_WITHIN_S
    while process.poll() is None and time.monotonic() < give_up_at:
        seconds = read_ready_line(log.read_text(errors="replace"))
        if seconds is not None:
            return seconds
        time.sleep(POLL_S)
    return None
