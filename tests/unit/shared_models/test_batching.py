"""Calls of the same moment are served together; what cannot be served harms nobody else."""

import asyncio

import pytest
from shared_models.batching import Batcher
from shared_models.errors import Unavailable

from tests.support.waiting import eventually


def itself(number: int) -> int:
    return number


class Desk:
    """Counts what comes together; holds runs back until `open` is set."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def is_busy(self) -> bool:
        return bool(self.batches)

    async def run(self, asked: list[int]) -> list[int]:
        self.batches.append(asked)
        await self.open.wait()
        if 13 in asked:
            raise ValueError("unlucky")
        if 503 in asked:
            raise Unavailable
        return [number * 10 for number in asked]


async def test_what_arrives_in_one_turn_of_the_loop_is_one_run() -> None:
    desk = Desk()
    batcher = Batcher(desk.run, key=itself)
    assert await asyncio.gather(*map(batcher, range(5))) == [0, 10, 20, 30, 40]
    assert desk.batches == [[0, 1, 2, 3, 4]]


async def test_a_lone_call_leaves_at_once_and_later_ones_collect_behind_it() -> None:
    desk = Desk()
    desk.open.clear()
    batcher = Batcher(desk.run, key=itself, at_once=1)
    first = asyncio.create_task(batcher(1))
    await eventually(desk.is_busy)
    others = [asyncio.create_task(batcher(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    desk.open.set()
    assert [await first, *[await other for other in others]] == [10, 20, 30, 40]
    assert desk.batches == [[1], [2, 3, 4]]


async def test_no_run_has_more_calls_than_it_may() -> None:
    desk = Desk()
    batcher = Batcher(desk.run, key=itself, most=3)
    await asyncio.gather(*map(batcher, range(7)))
    assert sorted(map(len, desk.batches)) == [1, 3, 3]


async def test_a_call_that_cannot_be_served_harms_no_other() -> None:
    desk = Desk()
    batcher = Batcher(desk.run, key=itself)
    answers = await asyncio.gather(*map(batcher, (12, 13, 14)), return_exceptions=True)
    assert answers[0] == 120
    assert isinstance(answers[1], ValueError)
    assert answers[2] == 140
    assert desk.batches == [[12, 13, 14], [12], [13], [14]]


async def test_when_the_database_is_away_nobody_tries_again_alone() -> None:
    desk = Desk()
    batcher = Batcher(desk.run, key=itself)
    answers = await asyncio.gather(*map(batcher, (1, 503)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    assert desk.batches == [[1, 503]]


async def test_a_caller_that_has_gone_before_leaving_is_not_served() -> None:
    desk = Desk()
    desk.open.clear()
    batcher = Batcher(desk.run, key=itself, at_once=1)
    first = asyncio.create_task(batcher(1))
    await eventually(desk.is_busy)
    gone, stays = asyncio.create_task(batcher(2)), asyncio.create_task(batcher(3))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    desk.open.set()
    assert (await first, await stays) == (10, 30)
    assert desk.batches == [[1], [3]]


async def test_calls_of_one_key_follow_each_other_in_their_order() -> None:
    desk = Desk()
    batcher = Batcher(desk.run, key=lambda number: number % 2)
    assert await asyncio.gather(*map(batcher, range(5))) == [0, 10, 20, 30, 40]
    assert desk.batches == [[0, 1], [2, 3], [4]]


async def test_a_caller_that_has_gone_makes_room_for_the_next_of_its_key() -> None:
    desk = Desk()
    desk.open.clear()
    batcher = Batcher(desk.run, key=lambda _number: "same", at_once=1)
    first = asyncio.create_task(batcher(1))
    await eventually(desk.is_busy)
    gone, stays = asyncio.create_task(batcher(2)), asyncio.create_task(batcher(3))
    await asyncio.sleep(0)
    gone.cancel()
    desk.open.set()
    assert (await first, await stays) == (10, 30)
    assert desk.batches == [[1], [3]]
