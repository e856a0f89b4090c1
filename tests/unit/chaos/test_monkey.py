"""The monkey kills everywhere, and breaks nothing that only a death may break."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from shared_models.faults import AMBIGUOUS, STRUCK, Kind

from tests.chaos.lines import Lines
from tests.chaos.monkey import ONLY_DEATHS, Monkey
from tests.chaos.stack import DIRECT, EVENTING, Stack
from tests.chaos.storm import points_of

MANY = 3000


@pytest.fixture
def stack(tmp_path: Path) -> Mock:
    """Nothing runs."""
    return Mock(spec=Stack, faults=tmp_path, killed=0, down=[], slots={})


def armed(stack: Mock) -> list[tuple[str, Kind]]:
    return [(call.args[0], call.kwargs["kind"]) for call in stack.arm.call_args_list]


@pytest.mark.parametrize("mode", [DIRECT, EVENTING])
def test_errors_and_pauses_come_only_where_they_can_strike_and_excuse_nothing(stack: Mock, mode: str) -> None:
    monkey = Monkey(stack, 1, points_of(mode))
    for _ in range(MANY):
        monkey._act()
    mild = {point for point, kind in armed(stack) if kind in (Kind.RAISE, Kind.SLEEP)}
    assert mild == set(points_of(mode)) - set(ONLY_DEATHS)


def test_only_a_death_counts_as_hit(stack: Mock) -> None:
    struck = Lines(stack.faults / STRUCK)
    points = ["agent_service.begun", "agent_service.event.sent", AMBIGUOUS]
    struck.add(point=points[0], kind=Kind.RAISE)
    struck.add(point=points[1], kind=Kind.EXIT)
    struck.add(point=points[2], kind=Kind.EXIT, beside=points[1])
    monkey = Monkey(stack, 1, points)
    assert monkey.never_struck() == [points[0], points[2]]
    assert monkey.kills == 1


def test_what_earlier_storms_have_missed_comes_first(stack: Mock) -> None:
    monkey = Monkey(stack, 1, points_of(DIRECT), first=["agent_service.begun"])
    monkey._arm_next()
    assert armed(stack) == [("agent_service.begun", Kind.EXIT)]
