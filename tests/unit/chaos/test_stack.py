"""What the harness itself does to the processes under fire, and what it writes down about that."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from local_stack.programs import Program
from local_stack.settings import inherited_environment

from tests.chaos import stack as stack_module
from tests.chaos.lines import Lines, read_lines
from tests.chaos.stack import Stack

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
NAME = "agent-service.1"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    (tmp_path / "faults").mkdir()
    made = Stack(tmp_path, "direct", Mock(), Mock(), Lines(tmp_path / "kills.jsonl"))
    yield made
    for slot in made.slots.values():
        slot.child.process.kill()
        slot.child.process.wait()


def start(stack: Stack, script: str) -> None:
    stack.start_slot(NAME, Program(NAME, [sys.executable, "-c", script], inherited_environment(), 0))


def logged(stack: Stack) -> list[tuple[str, str]]:
    return [(line["name"], line["signal"]) for line in read_lines(stack.folder / "kills.jsonl")]


def test_a_process_that_must_be_killed_when_it_is_to_stop_is_a_logged_death(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_module, "STOP_WITHIN_S", 0.0)
    start(stack, DEAF)
    while b"deaf" not in stack.slots[NAME].child.log.read_bytes():
        assert stack.slots[NAME].child.process.poll() is None
    stack.hold([NAME])
    assert logged(stack) == [(NAME, "SIGKILL")]


def test_who_has_ended_before_is_not_called_killed_by_the_stop(stack: Stack) -> None:
    start(stack, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    stack.slots[NAME].child.process.wait(timeout=30)
    stack.hold([NAME])
    assert logged(stack) == []


def test_a_fault_that_is_armed_stays_as_it_is(stack: Stack) -> None:
    stack.arm("agent_service.begun", kind="exit", match="r1", once=False)
    stack.arm("agent_service.begun", kind="raise")
    assert [file.name for file in stack.faults.iterdir()] == ["agent_service.begun"]
    assert json.loads((stack.faults / "agent_service.begun").read_text()) == {
        "kind": "exit",
        "match": "r1",
        "once": False,
    }
