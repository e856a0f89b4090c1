"""The floor as a process: the least that a request can be, measured in rounds beside the product."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_stack.ports import free_port
from local_stack.programs import Child, Program, wait_until_ready
from local_stack.settings import inherited_environment

MOST_CPU_MS = 2.5  # per request; above it the machine is too busy or too slow for the numbers to mean anything
READY_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Floor:
    child: Child

    @property
    def answered_url(self) -> str:
        return f"{self.child.url}/requests"

    @property
    def accepted_url(self) -> str:
        return f"{self.child.url}/accepted"

    @property
    def pids(self) -> dict[str, int]:
        return {"floor": self.child.process.pid}


@contextmanager
def running_floor(database_url: str, model_url: str, log: Path) -> Iterator[Floor]:
    port = free_port()
    env = inherited_environment() | {"FLOOR_DATABASE_URL": database_url, "FLOOR_MODEL_URL": model_url}
    command = [sys.executable, "-m", "tests.load.floor_app", "--port", str(port)]
    child = Child(Program("floor", command, env, port), log)
    try:
        wait_until_ready([child], timeout_s=READY_TIMEOUT_S)
        yield Floor(child)
    finally:
        child.stop()
