"""Accepting comes first, and nothing that was accepted is forgotten or held for long."""

import asyncio

import pytest
from request_manager import pace as pace_module
from request_manager.pace import Pace
from shared_models.work_item import WorkItem

from tests.support.waiting import eventually


def item(number: int) -> WorkItem:
    return WorkItem(number, "request-manager.requests", str(number), f"request {number}", {})


async def test_a_single_request_is_handed_over_at_once() -> None:
    handed: list[WorkItem] = []
    Pace(handed.append).accepted(item(1))
    assert [each.id for each in handed] == [1]


async def test_of_many_at_once_the_first_goes_on_and_the_others_follow_in_their_order() -> None:
    handed: list[WorkItem] = []
    pace = Pace(handed.append)
    for number in range(20):
        pace.accepted(item(number))
    assert [each.id for each in handed] == [0]
    await eventually(lambda: asyncio.sleep(0, len(handed) == 20))
    assert [each.id for each in handed] == list(range(20))


async def test_while_accepts_go_on_the_held_ones_still_make_progress() -> None:
    handed: list[WorkItem] = []
    pace = Pace(handed.append)
    numbers = iter(range(1_000_000))

    async def accept_and_look() -> bool:
        pace.accepted(item(next(numbers)))
        return len(handed) > 3

    await eventually(accept_and_look, every_s=0.001)
    last = next(numbers)
    assert [each.id for each in handed] == list(range(len(handed)))
    await eventually(lambda: asyncio.sleep(0, len(handed) == last))


async def test_a_steady_stream_of_accepts_holds_nothing_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "LONGEST_S", 0.0)
    handed: list[WorkItem] = []
    pace = Pace(handed.append)
    numbers = iter(range(1_000_000))

    async def accept_and_look() -> bool:
        for _ in range(50):
            pace.accepted(item(next(numbers)))
        return len(handed) > 1000

    await eventually(accept_and_look, every_s=0.001)
    pace.close()


async def test_a_request_that_somebody_waits_for_goes_first() -> None:
    handed: list[WorkItem] = []
    pace = Pace(handed.append)
    for number in range(5):
        pace.accepted(item(number))
    pace.wanted("request 3")
    pace.wanted("request 3")
    assert [each.id for each in handed] == [0, 3]
    await eventually(lambda: asyncio.sleep(0, len(handed) == 5))
    assert [each.id for each in handed] == [0, 3, 1, 2, 4]


async def test_nothing_is_handed_over_after_the_end() -> None:
    handed: list[WorkItem] = []
    pace = Pace(handed.append)
    for number in range(5):
        pace.accepted(item(number))
    pace.close()
    pace.wanted("request 3")
    assert [each.id for each in handed] == [0]
