"""Events that a service refuses are kept as dead work items, once each, and can be taken again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
from shared_models.database import Database
from shared_models.dead_letter_box import WorkItemBox
from shared_models.dead_letters import keep_refused, refused_events
from shared_models.enums import ServiceName
from shared_models.errors import InvalidRequest
from shared_models.events import CloudEvent
from shared_models.operations import DeadLetterFilter
from shared_models.work_queue import WorkQueue
from shared_models.work_statements import replay
from shared_models.worker import Worker

from tests.support.waiting import eventually

SERVICE = ServiceName.AGENT_SERVICE
QUEUE = "agent-service.refused"
HEADERS = {
    "ce-id": "1",
    "ce-source": "/elsewhere",
    "ce-type": "com.self-service-agent.request.created",
    "ce-specversion": "1.0",
    "content-type": "application/json",
}
SECRETS = {"authorization": "Bearer secret", "cookie": "secret"}

type TakeEvent = Callable[[CloudEvent], Awaitable[None]]
type Replaying = Callable[[TakeEvent], WorkQueue]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, role="ssa_agent_service")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def replaying(database: Database) -> AsyncIterator[Replaying]:
    """Starts the queue that takes replayed events."""
    worker = Worker(database, SERVICE)
    await worker.start()
    queues: list[WorkQueue] = []

    def start(take: TakeEvent) -> WorkQueue:
        queues.append(refused_events(database, worker.id, SERVICE, take))
        queues[-1].start()
        return queues[-1]

    yield start
    for queue in queues:
        await queue.stop()
    await worker.stop()


async def rows(database: Database) -> list[asyncpg.Record]:
    return await database.fetch("select * from work_items where queue = $1 order by id", QUEUE)


async def test_an_event_refused_again_and_again_makes_one_row_without_foreign_headers(database: Database) -> None:
    for trace in ("00-a", "00-b", "00-c"):
        headers = HEADERS | SECRETS | {"ce-traceparent": trace}
        await keep_refused(database, SERVICE, headers=headers, body=b'{"a": 1}', cause="no subject")
    [row] = await rows(database)
    assert (row["attempts"], row["last_error"], row["dead_at"] is not None) == (3, "no subject", True)
    assert "secret" not in str(row["payload"])
    assert row["payload"]["event"] == {"type": HEADERS["ce-type"], "id": "1", "source": "/elsewhere"}


async def test_many_deliveries_of_one_refused_event_at_once_make_one_row(database: Database) -> None:
    await asyncio.gather(
        *(keep_refused(database, SERVICE, headers=HEADERS, body=b"{", cause="no JSON") for _ in range(20))
    )
    [row] = await rows(database)
    assert row["attempts"] == 20


async def test_events_that_differ_are_kept_apart(database: Database) -> None:
    for headers, body in ((HEADERS, b"1"), (HEADERS, b"2"), (HEADERS | {"ce-id": "2"}, b"1"), ({}, b"\xff\x00")):
        await keep_refused(database, SERVICE, headers=headers, body=body, cause="bad\x00")
    assert len(await rows(database)) == 4


async def test_a_structured_event_is_told_by_its_own_attributes_and_not_by_its_data(database: Database) -> None:
    body = b'{"id": "7", "type": "t", "source": "/s", "requestid": "r", "data": {"content": "my password"}}'
    headers = {"content-type": "application/cloudevents+json"}
    await keep_refused(database, SERVICE, headers=headers, body=body, cause="no specversion")
    [row] = await rows(database)
    assert row["payload"]["event"] == {"type": "t", "id": "7", "source": "/s", "requestid": "r"}


async def test_of_an_event_that_is_too_large_only_its_size_is_kept(database: Database) -> None:
    headers = HEADERS | {"content-length": "1048577"}
    await keep_refused(database, SERVICE, headers=headers, body=None, cause="too large")
    [row] = await rows(database)
    assert (row["payload"]["body"], row["payload"]["size_bytes"]) == (None, 1_048_577)
    [letter] = await WorkItemBox(database, SERVICE, lambda _queue: None).page(DeadLetterFilter(), None, 10)
    assert not letter.replayable


async def test_a_replayed_event_is_taken_again_and_gone_when_it_was_taken(
    database: Database, replaying: Replaying
) -> None:
    taken: list[CloudEvent] = []
    is_known = False

    async def take(event: CloudEvent) -> None:
        if not is_known:
            raise InvalidRequest("status: unknown")
        taken.append(event)

    queue = replaying(take)
    await keep_refused(database, SERVICE, headers=HEADERS, body=b'{"a": 1}', cause="status: unknown")
    [row] = await rows(database)

    async def is_refused_again() -> bool:
        [now] = await rows(database)
        return now["dead_at"] is not None and str(now["last_error"]).startswith("refused again: status: unknown")

    async def is_gone() -> bool:
        return await rows(database) == []

    assert await replay(database, row["id"], [QUEUE])
    queue.wake()
    await eventually(is_refused_again)
    is_known = True
    assert await replay(database, row["id"], [QUEUE])
    queue.wake()
    await eventually(is_gone)
    assert [event.data for event in taken] == [{"a": 1}]


async def test_an_event_that_is_refused_during_its_replay_stays_in_the_list(
    database: Database, replaying: Replaying
) -> None:
    """A dead event's replay sends it to the broker: it may come back dead before the replay is over."""
    is_sent, may_go_on = asyncio.Event(), asyncio.Event()

    async def take(_event: CloudEvent) -> None:
        is_sent.set()
        await may_go_on.wait()

    queue = replaying(take)
    await keep_refused(database, SERVICE, headers=HEADERS, body=b"{}", cause="refused")
    [row] = await rows(database)
    assert await replay(database, row["id"], [QUEUE])
    queue.wake()
    await asyncio.wait_for(is_sent.wait(), 5)
    await keep_refused(database, SERVICE, headers=HEADERS, body=b"{}", cause="refused again")
    may_go_on.set()

    async def is_over() -> bool:
        return row["id"] not in [each["id"] for each in await rows(database)]

    await eventually(is_over)
    assert [(each["last_error"], each["dead_at"] is not None) for each in await rows(database)] == [
        ("refused again", True)
    ]


async def test_a_replayed_event_whose_content_is_gone_is_dead_again_and_says_so(
    database: Database, replaying: Replaying
) -> None:
    async def take(_event: CloudEvent) -> None:
        raise AssertionError("nothing to take")

    queue = replaying(take)
    await keep_refused(database, SERVICE, headers=HEADERS, body=None, cause="too large")
    [row] = await rows(database)
    assert await replay(database, row["id"], [QUEUE])
    queue.wake()

    async def says_so() -> bool:
        [now] = await rows(database)
        return now["dead_at"] is not None and "not here any more" in str(now["last_error"])

    await eventually(says_so)
