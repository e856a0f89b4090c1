"""The fake Responses server as a process, and its control."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from local_stack.ports import free_port
from local_stack.programs import Child, Program, wait_until_ready
from local_stack.settings import inherited_environment

READY_TIMEOUT_S = 300.0
CONTROL_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class FakeModel:
    """`url` without /v1."""

    url: str

    def control(self, *, latency_ms: int) -> None:
        """From now on answers take this long; the count of calls starts again at 0."""
        url = f"{self.url}/control?latency_ms={latency_ms}"
        httpx.post(url, timeout=CONTROL_TIMEOUT_S).raise_for_status()

    @property
    def calls(self) -> int:
        return int(httpx.get(f"{self.url}/control", timeout=CONTROL_TIMEOUT_S).raise_for_status().json()["calls"])


@contextmanager
def running_model(log: Path) -> Iterator[FakeModel]:
    port = free_port()
    command = [sys.executable, "-m", "tests.load.fake_responses", "--port", str(port)]
    child = Child(Program("fake model", command, inherited_environment(), port, ready_path="/v1/health"), log)
    try:
        wait_until_ready([child], timeout_s=READY_TIMEOUT_S)
        yield FakeModel(child.url)
    finally:
        child.stop()
