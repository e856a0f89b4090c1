"""The scenarios of a calm run: what they wait for, and what they call wrong."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest

from tests.chaos.calm import Calm, not_refused, stop_and_start
from tests.chaos.stack import Stack


class FakeStack:
    """Whatever was killed has ended by the next look."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slots = {"agent-service.1": SimpleNamespace(starts=1)}
        self.dead: set[str] = set()

    def kill(self, name: str, _how: signal.Signals) -> None:
        self.dead.add(name)

    def tick(self) -> list[str]:
        ended, self.dead = self.dead, set()
        for name in ended:
            self.slots[name].starts += 1
        return list(ended)

    def wait_until_ready(self) -> float:
        return 0.0


@pytest.fixture
def calm(tmp_path: Path) -> Calm:
    return Calm(cast(Stack, FakeStack(tmp_path)), [], seed=1)


def test_a_stop_is_seen_whoever_looks_first(calm: Calm) -> None:
    stop_and_start(calm, "agent-service.1")
    assert calm.wrong == []
    assert calm.stack.slots["agent-service.1"].starts == 2


def test_a_reach_that_is_missed_makes_the_run_fail(calm: Calm) -> None:
    calm.took("drained", 200.0, at_most_s=200.0)
    assert calm.wrong == []
    calm.took("drained", 200.1, at_most_s=200.0)
    assert calm.notes == {"drained, s": 200.1}
    assert calm.wrong


def test_an_event_that_is_not_refused_for_good_is_named() -> None:
    answers = iter([400, 503])
    http = httpx.Client(
        base_url="http://it", transport=httpx.MockTransport(lambda _: httpx.Response(next(answers, 400)))
    )
    [words] = not_refused(http)
    assert words.startswith("503 for an event")
