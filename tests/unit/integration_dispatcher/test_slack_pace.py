"""Slack's pace in one process, while the database is away; with it see the deliveries into the stand-in."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from integration_dispatcher.slack_pace import FIRST_GUESS_S, MAX_WAITING, SlackBusy, SlackPace
from shared_models.database import Database

POST = "chat.postMessage"


@pytest.fixture
def pace() -> SlackPace:
    return SlackPace(Database("postgresql://nobody@127.0.0.1:1/none"), post_every_s=0)


async def test_a_closed_method_is_closed_and_the_others_are_not(pace: SlackPace) -> None:
    await pace.close(POST, 30)

    with pytest.raises(SlackBusy) as caught:
        async with pace.turn(POST):
            pytest.fail("a call was made")
    async with pace.turn("auth.test"):
        pass

    assert 0 < caught.value.retry_after_s <= 30
    assert not caught.value.was_called


async def test_who_waits_for_a_call_that_closes_the_method_does_not_call(pace: SlackPace) -> None:
    calls: list[int] = []

    async def call(number: int) -> None:
        async with pace.turn(POST):
            calls.append(number)
            await pace.close(POST, 30)

    ended = await asyncio.gather(*(call(number) for number in range(10)), return_exceptions=True)

    assert calls == [0]
    assert sum(isinstance(each, SlackBusy) for each in ended) == 9


async def test_many_are_told_to_come_back_one_after_the_other(pace: SlackPace) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(pace.turn(POST))
        waiting = [asyncio.create_task(take(pace)) for _ in range(MAX_WAITING - 1)]
        await asyncio.sleep(0)
        earliest, latest = [], []
        for _ in range(50):
            asked_s = time.monotonic()
            with pytest.raises(SlackBusy) as caught:
                async with pace.turn(POST):
                    pytest.fail("a call was made")
            assert caught.value.retry_after_s > 0
            earliest.append(asked_s + caught.value.retry_after_s)
            latest.append(time.monotonic() + caught.value.retry_after_s)

    await asyncio.gather(*waiting)
    # Between asking and being told any time may pass: each instant lies somewhere from the earliest to the latest.
    assert all(this + FIRST_GUESS_S / 2 < following for this, following in zip(earliest, latest[1:], strict=False))


async def take(pace: SlackPace) -> None:
    async with pace.turn(POST):
        pass
