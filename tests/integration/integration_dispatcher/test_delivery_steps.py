"""The steps of a delivery by themselves: parts, races of two integrations, late workers, errors of our own."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from integration_dispatcher import sending
from integration_dispatcher.store import deliveries, plans
from integration_dispatcher.store.deliveries import Ended, Outcome, Workers
from integration_dispatcher.store.names import DELIVERIES
from integration_dispatcher.store.plans import Hand, NewPlan, PlannedRow
from shared_models.errors import Unavailable
from shared_models.ids import new_id
from shared_models.schemas import AgentResponse
from shared_models.work_item import WorkItem

from tests.support.database import superuser
from tests.support.dispatcher import Dispatcher, ended, wish
from tests.support.servers import free_socket, serving
from tests.support.waiting import eventually
from tests.support.webhook import WebhookReceiver

BODY = '{"part": %d}'
NOBODY = Workers("nobody", None)


@pytest.fixture
async def hook() -> AsyncIterator[tuple[WebhookReceiver, str]]:
    sock, url = free_socket()
    receiver = WebhookReceiver()
    async with serving(receiver.app(), sock):
        yield receiver, url + "/hook"


def rows(integration: str, target: str, *, parts: int = 1, rank: int = 0) -> list[PlannedRow]:
    delivery_id = new_id()
    return [
        PlannedRow(
            *(delivery_id, part, parts, integration, target, rank, BODY % part),
            status="pending",
            reason="",
            expires_after_s=3600,
        )
        for part in range(1, parts + 1)
    ]


async def plan(dispatcher: Dispatcher, answer: AgentResponse, planned: list[PlannedRow], *chain: str) -> None:
    new = NewPlan(answer, answer.model_dump_json(), "first_success", list(chain), None)
    await plans.plan(dispatcher.parts.database, new, planned, Hand(None, ""))


async def test_parts_are_sent_in_order_and_told_as_one_message(
    dispatcher: Dispatcher, hook: tuple[WebhookReceiver, str]
) -> None:
    user = new_id()
    receiver, url = hook
    receiver.failures = deque([204, 503])
    await dispatcher.set_webhook(user, url)
    planned = rows("webhook", "there", parts=3)
    await plan(dispatcher, ended(user, wish("webhook")), planned, "webhook")
    dispatcher.parts.queues.deliveries.wake()
    await dispatcher.idle()
    assert [received.body["part"] for received in receiver.tries] == [1, 2, 2, 3]
    first = str(planned[0].id)
    assert [received.headers["webhook-id"] for received in receiver.accepted] == [first, f"{first}.2", f"{first}.3"]
    [delivery] = await dispatcher.deliveries(user)
    assert (delivery["status"], delivery["parts"], delivery["attempts"]) == ("delivered", 3, 4)
    assert len(dispatcher.sink.reports) == 1


async def test_a_part_that_fails_for_good_ends_the_rest_and_a_replay_goes_on_with_it(
    dispatcher: Dispatcher, hook: tuple[WebhookReceiver, str]
) -> None:
    user = new_id()
    receiver, url = hook
    receiver.failures = deque([204, 500])
    await dispatcher.set_webhook(user, url, retry_count=0)
    await plan(dispatcher, ended(user, wish("webhook")), rows("webhook", "there", parts=3), "webhook")
    dispatcher.parts.queues.deliveries.wake()
    await dispatcher.idle()
    [delivery] = await dispatcher.deliveries(user)
    assert (delivery["status"], delivery["attempts"]) == ("failed", 2)
    assert [report.status.value for report in dispatcher.sink.reports] == ["failed"]
    reply = await dispatcher.call("POST", f"/api/v1/deliveries/{delivery['delivery_id']}/replay", user)
    assert reply.status_code == 202
    await dispatcher.idle()
    assert [received.body["part"] for received in receiver.accepted] == [1, 2, 3]
    assert await dispatcher.statuses(user) == {"webhook": "delivered"}


async def take_up(dispatcher: Dispatcher, delivery_id: UUID) -> deliveries.Taken:
    taken = await deliveries.take_up(dispatcher.parts.database, delivery_id)
    assert taken is not None
    return taken


def no_item(delivery_id: UUID) -> WorkItem:
    return WorkItem(0, DELIVERIES, None, "", {"delivery_id": str(delivery_id)})


async def test_of_two_integrations_that_succeed_at_once_the_second_is_late_and_nothing_breaks(
    dispatcher: Dispatcher,
) -> None:
    database = dispatcher.parts.database
    for _ in range(30):
        user = new_id()
        planned = [*rows("sms", str(user), rank=0), *rows("email", str(user), rank=0)]
        answer = ended(user, wish("sms", "email"))
        new = NewPlan(answer, answer.model_dump_json(), "first_success", ["sms", "email"], None)
        await plans.plan(database, new, planned, Hand("held by the test", ""))
        taken = [await take_up(dispatcher, row.id) for row in planned]
        await asyncio.gather(
            *(deliveries.delivered(database, each, Outcome(), "", no_item(each.delivery_id), NOBODY) for each in taken)
        )
        found = await dispatcher.deliveries(user)
        assert [item["status"] for item in found] == ["delivered", "delivered"]
        assert sorted(item["is_late"] for item in found) == [False, True]


async def test_a_late_worker_changes_nothing_and_a_late_success_counts_once(dispatcher: Dispatcher) -> None:
    user = new_id()
    database = dispatcher.parts.database
    planned = rows("sms", "there")
    await plans.plan(
        database,
        NewPlan(answer := ended(user, wish("sms")), answer.model_dump_json(), "all", ["sms"], None),
        planned,
        Hand("held by the test", ""),
    )
    delivery_id = planned[0].id
    slow = await take_up(dispatcher, delivery_id)
    quick = await take_up(dispatcher, delivery_id)
    assert (slow.number, quick.number) == (1, 2)
    item = no_item(delivery_id)
    first = await deliveries.delivered(database, quick, Outcome(200), "a", item, NOBODY)
    again = deliveries.Again("busy", 1.0, leave_lane=False)
    failed = await deliveries.try_again(database, slow, Outcome(503), again, item, NOBODY)
    in_vain = await deliveries.ended_in_vain(
        database, slow, Outcome(503), deliveries.InVain("failed", "busy"), item, NOBODY
    )
    second = await deliveries.delivered(database, slow, Outcome(200), "b", item, NOBODY)
    assert (first.is_ended, failed.is_open, in_vain.is_ended, second.is_ended) == (True, False, False, False)
    [delivery] = await dispatcher.deliveries(user)
    assert (delivery["status"], delivery["provider_id"], delivery["attempts"]) == ("delivered", "a", 2)

    async def is_told() -> bool:
        left = await database.fetchval("select count(*) from work_items where queue = 'integration-dispatcher.events'")
        return left == 0

    await eventually(is_told)
    assert [report.status.value for report in dispatcher.sink.reports] == ["delivered"]


async def test_an_error_of_our_own_ends_as_failed_and_is_told(dispatcher: Dispatcher, database_url: str) -> None:
    user = new_id()
    async with superuser(database_url) as beside:
        await beside.execute("alter table test_messages rename to away")
    await dispatcher.plan(ended(user, wish("test")))

    async def has_failed() -> object:
        return await dispatcher.parts.database.fetchrow(
            "select id, ref, payload from work_items where queue = $1 and attempts > 0", DELIVERIES
        )

    await eventually(has_failed)
    row = await dispatcher.parts.database.fetchrow(
        "select id, ref, payload from work_items where queue = $1", DELIVERIES
    )
    assert row is not None
    await dispatcher.sql("update work_items set dead_at = now(), leased_by = null where id = $1", row["id"])
    item = WorkItem(row["id"], DELIVERIES, None, row["ref"], row["payload"])
    await dispatcher.parts.processor.give_up(item, "it broke")
    [delivery] = await dispatcher.deliveries(user)
    assert (delivery["status"], delivery["reason"]) == (
        "failed",
        "It could not be delivered because of an error on our side.",
    )

    async def is_told() -> bool:
        return [report.status.value for report in dispatcher.sink.reports] == ["failed"]

    await eventually(is_told)


async def test_a_success_is_written_down_after_the_database_has_come_back(
    dispatcher: Dispatcher, database_url: str, hook: tuple[WebhookReceiver, str]
) -> None:
    user = new_id()
    receiver, url = hook
    await dispatcher.set_webhook(user, url)
    async with superuser(database_url) as beside, beside.transaction():
        # The row is locked, so the success waits; then its connection is cut.
        await dispatcher.plan(ended(user, wish("webhook")))
        await beside.execute("lock table delivery_plans in exclusive mode")

        async def waits() -> object:
            return await beside.fetchval(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            )

        await eventually(waits)
        await beside.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where wait_event_type = 'Lock' and datname = current_database()"
        )
    await dispatcher.idle()
    assert len(receiver.accepted) == 1
    assert await dispatcher.statuses(user) == {"webhook": "delivered"}


async def test_what_was_sent_is_written_down_though_the_database_is_away_for_longer_than_a_sending_may_take(
    dispatcher: Dispatcher, hook: tuple[WebhookReceiver, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    user = new_id()
    receiver, url = hook
    await dispatcher.set_webhook(user, url)
    refusals = iter(range(200))
    write = deliveries.delivered

    async def away(*arguments: Any) -> Ended:
        if next(refusals, None) is not None:
            raise Unavailable
        return await write(*arguments)

    monkeypatch.setattr(deliveries, "delivered", away)
    monkeypatch.setattr(sending, "SEND_WITHIN_S", 1.0)
    monkeypatch.setattr(sending, "INSIST_EVERY_S", 0.01)
    await plan(dispatcher, ended(user, wish("webhook")), rows("webhook", "there"), "webhook")
    dispatcher.parts.queues.deliveries.wake()
    await dispatcher.idle()
    assert len(receiver.tries) == 1
    [delivery] = await dispatcher.deliveries(user)
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 1)
