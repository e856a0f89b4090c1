"""What comes in: one row for each of the provider's ids, worked on in order, tried again, given up aloud, removed in time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from integration_dispatcher.inbound.inbox import Inbox
from integration_dispatcher.store import inbound as store
from integration_dispatcher.store.inbound import Ended, InboundEvent, NewInbound
from integration_dispatcher.store.names import INBOUND
from integration_dispatcher.store.retention import removals
from shared_models.database import Database
from shared_models.dead_letter_box import WorkItemBox
from shared_models.enums import ServiceName
from shared_models.errors import UpstreamRejected, UpstreamUnavailable
from shared_models.ids import new_id
from shared_models.notifier import Notifier
from shared_models.operations import DeadLetterFilter, DeadLetterKind
from shared_models.retention import Retention
from shared_models.worker import Worker

from tests.support.dispatcher import settings
from tests.support.waiting import eventually

FORWARDED = Ended("forwarded", user_id=new_id(), request_id=new_id())


@dataclass
class Scripted:
    """Fails with `errors` first, in their order."""

    errors: list[Exception] = field(default_factory=list)
    processed: list[InboundEvent] = field(default_factory=list)
    told: list[UUID] = field(default_factory=list)
    ended: Ended = FORWARDED

    async def process(self, event: InboundEvent) -> Ended:
        if self.errors:
            raise self.errors.pop(0)
        self.processed.append(event)
        return self.ended

    async def tell_given_up(self, event: InboundEvent) -> None:
        self.told.append(event.id)


@dataclass
class World:
    database: Database
    inbox: Inbox
    processor: Scripted

    async def states(self) -> list[str]:
        rows = await self.database.fetch("select state from inbound_events order by id")
        return [row["state"] for row in rows]

    async def has_told(self) -> bool:
        return bool(self.processor.told)

    async def is_idle(self) -> bool:
        return await self.database.fetchval("select count(*) from work_items where dead_at is null") == 0

    async def idle(self) -> None:
        await eventually(self.is_idle)


async def age(world: World, days: int) -> None:
    await world.database.execute("update inbound_events set received_at = now() - $1 * interval '1 day'", days)


def new(key: str, conversation: str = "fake:talk", order: int | None = None, provider: str = "fake") -> NewInbound:
    return NewInbound(provider, f"{provider}:{key}", conversation, {"text": key}, order)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    database = Database(database_url, role="ssa_integration_dispatcher")
    await database.open()
    worker = Worker(database, ServiceName.INTEGRATION_DISPATCHER)
    await worker.start()
    notifier, processor = Notifier(database), Scripted()
    inbox = Inbox(database, worker.id, notifier, {"fake": processor})
    yield World(database, inbox, processor)
    await inbox.queue.stop()
    await worker.stop()
    await notifier.close()
    await database.close()


async def test_what_comes_again_stays_one_row_and_is_worked_on_once(world: World) -> None:
    world.inbox.queue.start()
    assert [await world.inbox.receive(new("1")) for _ in range(3)] == [True, False, False]
    await world.idle()
    assert [event.payload for event in world.processor.processed] == [{"text": "1"}]
    assert await world.states() == ["forwarded"]
    assert await store.people_of(world.database, "fake:talk") == {FORWARDED.user_id}
    assert await store.people_of(world.database, "fake:other") == set()
    assert FORWARDED.request_id is not None
    found = await store.of_request(world.database, FORWARDED.request_id)
    assert found is not None
    assert found.conversation == "fake:talk"


async def test_waiting_events_of_a_conversation_go_by_their_order_not_by_their_arrival(world: World) -> None:
    for order in (3, 1, 2):
        await world.inbox.receive(new(str(order), order=order))
    world.inbox.queue.start()
    await world.idle()
    assert [event.payload["text"] for event in world.processor.processed] == ["1", "2", "3"]


async def test_what_cannot_be_brought_now_is_brought_later(world: World) -> None:
    world.processor.errors = [UpstreamUnavailable("away"), UpstreamUnavailable("away")]
    world.inbox.queue.start()
    await world.inbox.receive(new("1"))
    await world.idle()
    assert await world.states() == ["forwarded"]


async def test_what_is_ignored_is_not_kept(world: World) -> None:
    world.processor.ended = Ended("ignored", "not for us")
    world.inbox.queue.start()
    await world.inbox.receive(new("1"))
    await world.idle()
    row = await world.database.fetchrow("select state, reason, payload from inbound_events")
    assert row is not None
    assert dict(row) == {"state": "ignored", "reason": "not for us", "payload": {}}


async def test_what_is_given_up_is_told_to_its_person_and_listed_and_can_be_replayed(world: World) -> None:
    world.processor.errors = [UpstreamRejected("POST /api/v1/requests/slack: 422")]
    world.inbox.queue.start()
    await world.inbox.receive(new("1"))
    await eventually(world.has_told)
    await world.idle()
    assert await world.states() == ["failed"]
    box = WorkItemBox(world.database, ServiceName.INTEGRATION_DISPATCHER, lambda _name: world.inbox.queue.wake())
    [letter] = await box.page(DeadLetterFilter(), None, 10)
    assert (letter.kind, letter.queue, letter.replayable) == (DeadLetterKind.REQUEST, INBOUND, True)
    assert (await box.read(letter.id)).facts["integration"] == "fake"
    await box.replay(letter.id)
    await world.idle()
    assert await world.states() == ["forwarded"]
    assert len(world.processor.told) == 1


async def test_what_died_with_its_process_is_told_by_the_sweep_once(world: World) -> None:
    await world.inbox.receive(new("1"))
    await world.database.execute("update work_items set dead_at = now(), last_error = 'its worker died 5 times'")
    world.inbox.queue.start()
    await world.inbox.sweep()
    await world.inbox.sweep()
    await eventually(world.has_told)
    await world.idle()
    assert await world.database.fetchval("select reason from inbound_events") == "its worker died 5 times"
    assert len(world.processor.told) == 1


async def test_a_provider_that_is_not_set_up_any_more_is_given_up(world: World) -> None:
    world.inbox.queue.start()
    await world.inbox.receive(new("1", provider="gone"))

    async def is_dead() -> bool:
        return await world.database.fetchval("select count(*) from work_items where dead_at is not null") == 2

    await eventually(is_dead)
    assert await world.states() == ["failed"]


async def test_content_goes_first_and_the_row_that_stops_a_repetition_later(world: World) -> None:
    world.inbox.queue.start()
    await world.inbox.receive(new("1"))
    await world.idle()
    retention = Retention(world.database, removals(settings("postgresql://not-used")))
    await age(world, 89)
    assert (await retention.run_once())["inbound_content"] == 0
    await age(world, 91)
    assert (await retention.run_once())["inbound_content"] == 1
    assert await world.database.fetchval("select payload from inbound_events") == {}
    assert await world.inbox.receive(new("1")) is False
    await age(world, 401)
    assert (await retention.run_once())["inbound_events"] == 1
    assert await world.inbox.receive(new("1")) is True
    await world.idle()


async def test_an_event_is_recorded_by_one_statement_while_nobody_works(world: World) -> None:
    """Without a running queue the row waits for whoever claims it."""
    assert await world.inbox.receive(new("1")) is True
    row = await world.database.fetchrow("select key, ref, leased_by from work_items")
    assert row is not None
    assert dict(row) == {"key": "fake:talk", "ref": "fake:1", "leased_by": None}
