"""The broker is away, or answers strangely: what was accepted waits, in order, and goes when it is back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import httpx
import pytest
from shared_models.events import CloudEvent, EventType
from shared_models.schemas import AgentResponse

from tests.support.fake_broker import BROKER_URL, FakeBroker
from tests.support.request_manager import TOKEN_KEY, Replica, Someone, Stage, stage
from tests.support.waiting import eventually

CREATED, READY = EventType.REQUEST_CREATED, EventType.RESPONSE_READY
EVENTING = {"eventing_enabled": True, "broker_url": BROKER_URL, "waiting_requests": 500, "requests_per_minute": 5000}


@asynccontextmanager
async def eventing(database_url: str) -> AsyncIterator[tuple[Stage, Replica, FakeBroker]]:
    broker = FakeBroker(TOKEN_KEY)
    async with stage(database_url, others=broker.handle) as made, made.replica(**EVENTING) as replica:
        yield made, replica, broker


async def conversations(replica: Replica, someone: Someone, *, sessions: int, turns: int) -> None:
    """Ask in some sessions at once, several times in each, without waiting."""
    ids = [(await replica.post(someone, "turn 1"))["session_id"] for _ in range(sessions)]
    for turn in range(2, turns + 1):
        for session_id in ids:
            await replica.post(someone, f"turn {turn}", session_id=session_id)


async def rows(replica: Replica) -> list[tuple[int, bool, str]]:
    """Attempts, whether it is dead, and the last error of each row of the outbox."""
    found = await replica.parts.database.fetch("select attempts, dead_at, last_error from work_items order by id")
    return [(row["attempts"], row["dead_at"] is not None, row["last_error"] or "") for row in found]


async def pretend_hours_have_passed(replica: Replica) -> None:
    """As if each row had been tried for an hour or two, and were due again now."""
    database = replica.parts.database
    await database.execute("update work_items set attempts = attempts + 500, run_at = now() where leased_by is null")
    await database.execute("update lanes set run_at = now() where leased_by is null")


async def until_tried(broker: FakeBroker, times: int) -> None:
    async def tried() -> bool:
        return broker.tries >= times

    await eventually(tried)


async def test_an_outage_of_hours_costs_no_request_its_life_and_no_session_its_order(database_url: str) -> None:
    async with eventing(database_url) as (made, replica, broker):
        broker.is_away = True
        ana = await made.person()
        await conversations(replica, ana, sessions=8, turns=5)
        await until_tried(broker, 4)
        await pretend_hours_have_passed(replica)
        await until_tried(broker, broker.tries + 3)
        assert len(await rows(replica)) == 40
        assert not any(is_dead for _, is_dead, _ in await rows(replica))
        broker.is_away = False
        await pretend_hours_have_passed(replica)

        async def drained() -> bool:
            return await rows(replica) == []

        await eventually(drained)
        orders = broker.orders(CREATED)
        assert len(orders) == 8
        assert set(map(tuple, orders.values())) == {(1, 2, 3, 4, 5)}


async def test_while_the_broker_is_away_one_row_at_a_time_is_tried(database_url: str) -> None:
    async with eventing(database_url) as (made, replica, broker):
        broker.is_away = True
        ana = await made.person()
        await conversations(replica, ana, sessions=60, turns=1)
        await until_tried(broker, 3)
        under_way: list[int] = []

        async def has_calmed_down() -> bool:
            """What was under way when the broker went has come back."""
            return await leased(replica) <= 1

        await eventually(has_calmed_down)
        goal = broker.tries + 3

        async def is_tried() -> bool:
            under_way.append(await leased(replica))
            return broker.tries >= goal

        await eventually(is_tried)
        assert max(under_way) <= 1
        assert len(await rows(replica)) == 60


async def leased(replica: Replica) -> int:
    count = await replica.parts.database.fetchval("select count(*) from work_items where leased_by is not null")
    assert isinstance(count, int)
    return count


def strange(status: int, content: bytes = b"") -> httpx.Response:
    return httpx.Response(status, content=content, headers={"location": "http://elsewhere.test/"})


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (strange(200, b"<html>portal</html>"), "a proxy or a portal"),
        (strange(302), "redirects are not followed"),
        (strange(401), "the token is not accepted"),
        (strange(404), "no broker at this address"),
        (strange(503), "503"),
    ],
)
async def test_a_strange_answer_is_told_to_the_operators_and_tried_again(
    database_url: str, answer: httpx.Response, cause: str
) -> None:
    async with eventing(database_url) as (made, replica, broker):
        broker.answer = lambda _event: httpx.Response(
            answer.status_code, content=answer.content, headers=answer.headers
        )
        accepted = await replica.post(await made.person())
        await until_tried(broker, 2)

        async def told() -> bool:
            return any(cause in error and not is_dead for _, is_dead, error in await rows(replica))

        await eventually(told)
        broker.events.clear()
        broker.answer = lambda _event: httpx.Response(202)
        await pretend_hours_have_passed(replica)

        async def sent() -> bool:
            return [event.subject for event in broker.of(CREATED)] == [f"request/{accepted['request_id']}"]

        await eventually(sent)


async def test_a_broker_that_says_when_to_come_back_is_not_asked_before(database_url: str) -> None:
    async with eventing(database_url) as (made, replica, broker):
        broker.answer = lambda _event: httpx.Response(503, headers={"retry-after": "60"})
        database = replica.parts.database
        before = await database.fetchval("select now()")
        assert isinstance(before, datetime)
        await replica.post(await made.person())

        async def was_refused() -> bool:
            return [attempts for attempts, _, _ in await rows(replica)] == [1]

        await eventually(was_refused)
        due = await database.fetchval("select min(run_at) from lanes")
        assert isinstance(due, datetime)
        assert due >= before + timedelta(seconds=60)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_a_request_that_the_broker_refuses_for_good_fails_and_the_person_is_told(
    database_url: str, status: int
) -> None:
    async with eventing(database_url) as (made, replica, broker):

        def answer(event: CloudEvent) -> httpx.Response:
            return httpx.Response(status if event.type == CREATED else 202)

        broker.answer = answer
        ana = await made.person()
        reply = await replica.ask(ana, integration_type="webhook")
        assert reply.json()["status"] == "failed"
        assert reply.json()["error"]["code"] == "handover_failed"

        async def told() -> bool:
            return len(broker.of(READY)) == 1

        await eventually(told)
        assert AgentResponse.model_validate(broker.of(READY)[0].data).status == "failed"
        [(attempts, error)] = [(attempts, error) for attempts, is_dead, error in await rows(replica) if is_dead]
        assert attempts == 1
        assert str(status) in error


async def test_a_lane_is_free_as_soon_as_the_broker_has_the_event(database_url: str) -> None:
    async with eventing(database_url) as (made, replica, broker):
        ana = await made.person()
        await conversations(replica, ana, sessions=1, turns=6)

        async def all_sent() -> bool:
            in_order = list(broker.orders(CREATED).values()) == [[1, 2, 3, 4, 5, 6]]
            return in_order and await rows(replica) == []

        await eventually(all_sent)
        assert await replica.parts.database.fetchval("select sum(pending) from lanes") == 0
        assert made.agents.asked == []
