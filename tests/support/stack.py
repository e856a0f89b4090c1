"""The whole stack as a person starts it: `python -m local_stack up` in a process of its own, on free ports."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from local_stack.state import read_env

from tests.support.waiting import eventually_blocking

READY_WITHIN_S = 600.0
END_WITHIN_S = 180.0
POLL_S = 0.05
# What a developer's own environment may hold must not reach a stack under test.
FOREIGN = (
    *("DATABASE_URL", "PGHOST", "PGSERVICE", "LLAMA_STACK_URL", "LLAMA_STACK_MODEL", "LLM_URL", "LLM_MODEL"),
    *("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN", "SLACK_API_URL"),
    *("SMS_ACCOUNT_SID", "SMS_AUTH_TOKEN", "SMS_FROM", "SMTP_HOST", "IMAP_HOST"),
    *("EVENTING_ENABLED", "BROKER_URL", "K_SINK", "CI"),
)


@dataclass
class Stack:
    """A started runner. `output` is what it has printed so far; `env` are the values of its `env` file."""

    process: subprocess.Popen[bytes]
    state_dir: Path
    log: Path
    seen: list[psutil.Process] = field(default_factory=list)

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def env(self) -> dict[str, str]:
        return read_env(self.state_dir)

    @property
    def url(self) -> str:
        return self.env["SSA_URL"]

    def wait_until_ready(self) -> None:
        """Raises AssertionError with all that was printed when the runner ends or the time is over."""
        eventually_blocking(self._has_begun, within_s=READY_WITHIN_S, every_s=POLL_S)
        assert "Ready after" in self.output, self.output
        self.seen = self.children()

    def _has_begun(self) -> bool:
        return "Ready after" in self.output or self.process.poll() is not None

    def children(self) -> list[psutil.Process]:
        """Every process below the runner."""
        with suppress(psutil.Error):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait. Returns the exit code."""
        self.seen = self.seen or self.children()
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=END_WITHIN_S)

    def survivors(self) -> list[str]:
        """Processes that were seen below the runner and still run."""
        return [
            " ".join(each.cmdline())
            for each in self.seen
            if each.is_running() and each.status() != psutil.STATUS_ZOMBIE
        ]


@pytest.fixture(scope="session")
def whole_stack() -> Iterator["Stack"]:
    """Everything, OGX included, started once per run for the tests that only use it."""
    with open_folder() as folder, running_stack(folder / "state") as stack:
        yield stack


@pytest.fixture(scope="session")
def whole_stack_over_a_broker() -> Iterator["Stack"]:
    """The same, as events."""
    with open_folder() as folder, running_stack(folder / "state", environment={"EVENTING_ENABLED": "true"}) as stack:
        yield stack


@pytest.fixture(params=["whole_stack", "whole_stack_over_a_broker"], ids=["direct", "eventing"])
def any_stack(request: pytest.FixtureRequest) -> "Stack":
    """In both modes."""
    stack: Stack = request.getfixturevalue(request.param)
    return stack


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter: pytest's own are closed, and as root PostgreSQL is another user."""
    folder = Path(tempfile.mkdtemp(prefix="ssa-stack-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def start_stack(state_dir: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Stack:
    """Begin `up` without waiting. The caller ends it; see `running_stack`."""
    env = {name: value for name, value in os.environ.items() if name not in FOREIGN} | dict(environment or {})
    command = [sys.executable, "-m", "local_stack", "up", "--state-dir", str(state_dir), *arguments]
    # Each start has a file of its own: a second one beside it must not wipe what the first has printed.
    with tempfile.NamedTemporaryFile(dir=state_dir.parent, suffix=".out", delete=False) as output:
        log = Path(output.name)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, start_new_session=True
        )
    return Stack(process, state_dir, log)


@contextmanager
def running_stack(state_dir: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """A ready stack on free ports, ended afterwards."""
    stack = start_stack(state_dir, "--free-ports", *arguments, environment=environment)
    try:
        stack.wait_until_ready()
        yield stack
    finally:
        stack.end()
