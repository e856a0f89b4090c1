"""A run has bounds, but a slow one that goes on is let go on."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from local_stack.programs import Child, Program
from local_stack.settings import inherited_environment

from tests.chaos import storm as storm_module
from tests.chaos.lines import Lines
from tests.chaos.stack import Stack
from tests.chaos.storm import finish


def client_of(tmp_path: Path, script: str) -> Child:
    return Child(Program("client", [sys.executable, "-c", script], inherited_environment(), 0), tmp_path / "client.txt")


def stack_of(folder: Path, *, most_accepted: int) -> Stack:
    """Each look at it finds one more request accepted."""
    ledger = Lines(folder / "ledger.jsonl")
    left = list(range(most_accepted))

    def tick() -> None:
        if left:
            ledger.add(kind="accepted", request_id=left.pop())

    return cast(Stack, SimpleNamespace(folder=folder, tick=tick))


def test_a_client_that_gets_nothing_accepted_any_more_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storm_module, "STALLED_AFTER_S", 0.0)
    client = client_of(tmp_path, "import time; time.sleep(600)")
    try:
        with pytest.raises(TimeoutError):
            finish(stack_of(tmp_path, most_accepted=2), client)
        assert (tmp_path / "ledger.jsonl").read_bytes().count(b"\n") == 2
    finally:
        client.process.kill()
        client.process.wait()


def test_a_client_that_fails_breaks_the_run(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="client failed"):
        finish(stack_of(tmp_path, most_accepted=0), client_of(tmp_path, "raise SystemExit(1)"))
