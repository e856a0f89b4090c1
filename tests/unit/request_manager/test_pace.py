"""Accepting comes first, and nothing that was accepted is forgotten."""

import asyncio

from request_manager.pace import Pace
from shared_models.work_queue import WorkItem

from tests.support.waiting import eventually


def item(number: int) -> WorkItem:
    return WorkItem(number, "request-manager.requests", str(number), "", {})


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
