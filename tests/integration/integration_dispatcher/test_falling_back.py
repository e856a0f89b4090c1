"""The next integration when one fails or takes too long; late successes; expiry; fan-out; replay."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from integration_dispatcher.processor import INTERNAL_ERROR
from shared_models.enums import Role
from shared_models.ids import new_id
from shared_models.schemas import DeliveryWish

from tests.support.dispatcher import PREFERRED, Dispatcher, ended, running, settings, wish
from tests.support.waiting import eventually
from tests.support.webhook import HANG, WebhookReceiver


async def until_statuses(dispatcher: Dispatcher, user: UUID, **expected: str) -> None:
    async def reached() -> bool:
        return await dispatcher.statuses(user) == expected

    await eventually(reached)


@asynccontextmanager
async def refused_once(
    database_url: str, receiver: WebhookReceiver, delivery: DeliveryWish = PREFERRED
) -> AsyncIterator[tuple[Dispatcher, UUID]]:
    """A person's message whose webhook answered 503, and which waits long for its next try; the test inbox is the fall-back."""
    user = new_id()
    receiver.failures = deque([503])
    defaults = {"webhook": {"retry_delay_seconds": 300}}
    async with running(settings(database_url, integration_defaults=defaults)) as dispatcher:
        await dispatcher.set_webhook(user, receiver.url)
        await dispatcher.plan(ended(user, delivery))
        await until_statuses(dispatcher, user, webhook="retrying")
        yield dispatcher, user


async def make_due(dispatcher: Dispatcher, *, retries: bool = False) -> None:
    """Let the time pass until the fall-back, or until the next try."""
    await dispatcher.released()
    if retries:
        await dispatcher.sql("update delivery_logs set next_attempt_at = now() where next_attempt_at is not null")
        await dispatcher.sql("update work_items set run_at = now()")
        await dispatcher.sql("update lanes set run_at = now()")
        dispatcher.parts.queues.deliveries.wake()
    else:
        await dispatcher.sql("update delivery_plans set fallback_at = now() where fallback_at is not null")
        await dispatcher.parts.processor.sweep()


async def test_the_next_integration_takes_over_at_once_when_one_fails_for_good(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    user = new_id()
    receiver.failures = deque([500] * 3)
    await dispatcher.set_webhook(user, receiver.url, retry_count=2)
    await dispatcher.plan(ended(user, PREFERRED))
    await until_statuses(dispatcher, user, webhook="failed", test="delivered")
    await dispatcher.idle()
    assert len(receiver.tries) == 3
    assert len(await dispatcher.inbox(user)) == 1
    assert {(r.integration.value, r.status.value) for r in dispatcher.sink.reports} == {
        ("webhook", "failed"),
        ("test", "delivered"),
    }


async def test_a_plan_of_a_newer_release_is_read_after_a_rollback(database_url: str, receiver: WebhookReceiver) -> None:
    async with refused_once(database_url, receiver) as (dispatcher, user):
        await dispatcher.sql("""update delivery_plans set message = jsonb_set(message::jsonb, '{added}', '1')::text""")
        await make_due(dispatcher)
        await until_statuses(dispatcher, user, webhook="cancelled", test="delivered")


async def test_a_slow_integration_is_overtaken_and_its_unsent_twin_cancelled(
    database_url: str, receiver: WebhookReceiver
) -> None:
    async with refused_once(database_url, receiver) as (dispatcher, user):
        await make_due(dispatcher)
        await until_statuses(dispatcher, user, webhook="cancelled", test="delivered")
        await make_due(dispatcher, retries=True)
        await dispatcher.idle()
        assert len(receiver.tries) == 1
        late = {item["integration"]: item["is_late"] for item in await dispatcher.deliveries(user)}
    assert late == {"webhook": False, "test": False}


async def test_a_success_after_the_fall_back_is_marked_late(database_url: str, receiver: WebhookReceiver) -> None:
    async with refused_once(database_url, receiver) as (dispatcher, user):
        # As if the next integration had been started.
        await dispatcher.sql("update delivery_plans set position = 1, fallback_at = null")
        await make_due(dispatcher, retries=True)
        await until_statuses(dispatcher, user, webhook="delivered")
        await dispatcher.idle()
        [delivery] = await dispatcher.deliveries(user)
    assert delivery["is_late"] is True


async def test_a_fall_back_that_meets_a_delivered_message_sends_nothing(
    database_url: str, receiver: WebhookReceiver
) -> None:
    async with refused_once(database_url, receiver) as (dispatcher, user):
        # Another replica has delivered in the moment between this row's plan and its start.
        await dispatcher.sql("update delivery_plans set delivered_at = now()")
        await make_due(dispatcher, retries=True)
        await dispatcher.idle()
        assert await dispatcher.statuses(user) == {"webhook": "cancelled"}
    assert len(receiver.tries) == 1


async def test_a_fall_back_that_was_switched_off_meanwhile_is_skipped(
    database_url: str, receiver: WebhookReceiver
) -> None:
    async with refused_once(database_url, receiver) as (dispatcher, user):
        await dispatcher.call("PUT", "/api/v1/users/{me}/integrations/test", user, json={"enabled": False})
        await make_due(dispatcher)
        assert await dispatcher.statuses(user) == {"webhook": "retrying"}
        assert await dispatcher.parts.database.fetchval("select fallback_at from delivery_plans") is None


async def test_an_integration_that_was_switched_off_after_planning_is_not_used(
    database_url: str, receiver: WebhookReceiver
) -> None:
    async with refused_once(database_url, receiver) as (dispatcher, user):
        await dispatcher.call("PUT", "/api/v1/users/{me}/integrations/webhook", user, json={"enabled": False})
        await make_due(dispatcher, retries=True)
        await until_statuses(dispatcher, user, webhook="failed", test="delivered")
    assert len(receiver.tries) == 1


async def test_all_fans_out_and_nothing_is_cancelled(dispatcher: Dispatcher, receiver: WebhookReceiver) -> None:
    user = new_id()
    await dispatcher.set_webhook(user, receiver.url)
    await dispatcher.plan(ended(user, wish("webhook", "test", policy="all")))
    await dispatcher.idle()
    assert await dispatcher.statuses(user) == {"webhook": "delivered", "test": "delivered"}
    assert len(receiver.accepted) == 1
    assert len(await dispatcher.inbox(user)) == 1


async def test_what_nobody_could_deliver_in_time_expires_and_is_told(
    database_url: str, receiver: WebhookReceiver
) -> None:
    async with refused_once(database_url, receiver, wish("webhook")) as (dispatcher, user):
        await dispatcher.sql("update delivery_logs set expires_at = now() - interval '2 minutes'")
        await until_statuses(dispatcher, user, webhook="expired")

        async def told() -> bool:
            return [report.status.value for report in dispatcher.sink.reports] == ["expired"]

        await eventually(told)
        await make_due(dispatcher, retries=True)
        await dispatcher.idle()
    assert len(receiver.tries) == 1


async def test_a_row_that_comes_due_after_its_expiry_is_not_sent(database_url: str, receiver: WebhookReceiver) -> None:
    async with refused_once(database_url, receiver, wish("webhook")) as (dispatcher, user):
        await dispatcher.sql("update delivery_logs set expires_at = now()")
        await make_due(dispatcher, retries=True)
        await until_statuses(dispatcher, user, webhook="expired")
    assert len(receiver.tries) == 1


async def test_a_delivery_whose_work_died_with_its_process_ends_and_is_told_once(
    database_url: str, receiver: WebhookReceiver
) -> None:
    async with refused_once(database_url, receiver, wish("webhook")) as (dispatcher, user):
        await dispatcher.released()
        await dispatcher.sql("update work_items set dead_at = now(), last_error = 'its worker died 5 times'")
        await until_statuses(dispatcher, user, webhook="failed")
        await dispatcher.idle()
        [note] = await dispatcher.inbox(user)
        [report] = dispatcher.sink.reports
    assert f"- webhook: {INTERNAL_ERROR}" in note
    assert report.status == "failed"


async def test_an_operator_or_the_owner_replays_with_the_same_id(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    user, operator = new_id(), new_id()
    receiver.failures = deque([500])
    await dispatcher.set_webhook(user, receiver.url, retry_count=0)
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    [delivery] = await dispatcher.deliveries(user)
    assert delivery["status"] == "failed"
    path = f"/api/v1/deliveries/{delivery['delivery_id']}/replay"
    assert (await dispatcher.call("POST", path, new_id())).status_code == 404
    reply = await dispatcher.call("POST", path, operator, roles=[Role.OPERATOR])
    assert reply.status_code == 202
    await dispatcher.idle()
    assert await dispatcher.statuses(user) == {"webhook": "delivered"}
    assert [received.headers["webhook-id"] for received in receiver.tries] == [delivery["delivery_id"]] * 2
    assert [report.status.value for report in dispatcher.sink.reports] == ["failed", "delivered"]
    reply = await dispatcher.call("POST", path, user)
    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")


async def test_a_cancelled_twin_that_is_replayed_is_sent_once(database_url: str, receiver: WebhookReceiver) -> None:
    async with refused_once(database_url, receiver) as (each, user):
        await make_due(each)
        await until_statuses(each, user, webhook="cancelled", test="delivered")
        [hooked] = [item for item in await each.deliveries(user) if item["integration"] == "webhook"]
        reply = await each.call("POST", f"/api/v1/deliveries/{hooked['delivery_id']}/replay", user)
        assert reply.status_code == 202
        await each.idle()
        assert await each.statuses(user) == {"webhook": "delivered", "test": "delivered"}
    assert len(receiver.accepted) == 1


async def test_a_message_under_way_cannot_be_replayed(database_url: str, receiver: WebhookReceiver) -> None:
    user = new_id()
    receiver.failures = deque([HANG])
    async with running(settings(database_url)) as dispatcher:
        await dispatcher.set_webhook(user, receiver.url)
        await dispatcher.plan(ended(user, wish("webhook")))
        [delivery] = await dispatcher.deliveries(user)
        reply = await dispatcher.call("POST", f"/api/v1/deliveries/{delivery['delivery_id']}/replay", user)
        assert reply.status_code == 409


async def test_request_manager_being_away_delays_the_report_and_loses_nothing(dispatcher: Dispatcher) -> None:
    user = new_id()
    dispatcher.sink.statuses = [503, 500]
    await dispatcher.plan(ended(user, wish("test")))
    await dispatcher.idle()
    assert [report.status.value for report in dispatcher.sink.reports] == ["delivered"]


async def test_plans_that_this_code_cannot_read_keep_no_other_from_falling_back_or_being_told(
    database_url: str, receiver: WebhookReceiver
) -> None:
    """As after a step back to an older release; there are more of them than are looked at in one go."""
    async with refused_once(database_url, receiver) as (dispatcher, falls_back):
        await dispatcher.sql("""
            insert into delivery_plans (request_id, user_id, session_id, message, policy, chain, fallback_at, note)
            select ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, gen_random_uuid(), gen_random_uuid(),
                   '{"new": 1}', 'first_success', array['webhook', 'test'], now(), 'failed'
            from generate_series(1, 51) n
        """)
        is_told = new_id()
        await dispatcher.plan(ended(is_told, wish("webhook")))
        await make_due(dispatcher)
        await until_statuses(dispatcher, falls_back, webhook="cancelled", test="delivered")

        async def has_been_told() -> bool:
            return len(await dispatcher.inbox(is_told)) == 1

        await eventually(has_been_told)
