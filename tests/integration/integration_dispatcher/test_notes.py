"""What could not be delivered is told to its person on another integration, once."""

from collections import deque
from uuid import UUID

from shared_models.ids import new_id

from tests.support.dispatcher import PREFERRED, Dispatcher, ended, wish
from tests.support.waiting import eventually
from tests.support.webhook import WebhookReceiver

MINE = "/api/v1/users/{me}/integrations"
SECRET = "Your salary is 12 345."


async def failing(dispatcher: Dispatcher, receiver: WebhookReceiver, *statuses: int) -> UUID:
    user = new_id()
    await dispatcher.set_webhook(user, receiver.url, retry_count=0)
    receiver.failures = deque(statuses)
    return user


async def test_a_final_failure_is_told_once_without_the_answer(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    user = await failing(dispatcher, receiver, 500)
    answer = ended(user, wish("webhook"), content=SECRET)
    await dispatcher.plan(answer)
    await dispatcher.idle()
    [note] = await dispatcher.inbox(user)
    assert "An answer for you could not be delivered." in note
    assert "- webhook: The receiver answered 500." in note
    assert f"`ssa requests get {answer.request_id}`" in note
    assert SECRET not in note
    assert [(each.integration.value, each.status.value) for each in dispatcher.sink.reports] == [("webhook", "failed")]
    [delivery] = await dispatcher.deliveries(user)
    receiver.failures = deque([500])
    replayed = await dispatcher.call("POST", f"/api/v1/deliveries/{delivery['delivery_id']}/replay", user)
    assert replayed.status_code == 202
    await dispatcher.idle()
    assert await dispatcher.inbox(user) == [note]


async def test_what_was_refused_from_the_start_is_told(dispatcher: Dispatcher) -> None:
    user = new_id()
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    [note] = await dispatcher.inbox(user)
    assert "- webhook: This integration is not set up." in note


async def test_a_fallback_that_succeeds_needs_no_note(dispatcher: Dispatcher, receiver: WebhookReceiver) -> None:
    user = await failing(dispatcher, receiver, 500)
    await dispatcher.plan(ended(user, PREFERRED, content="by the next one"))
    await dispatcher.idle()
    assert await dispatcher.inbox(user) == ["by the next one"]


async def test_an_integration_that_was_switched_off_is_told_though_the_answer_arrived(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    user = await failing(dispatcher, receiver, 410)
    await dispatcher.plan(ended(user, PREFERRED, content="by the next one"))
    await dispatcher.idle()
    answer, note = sorted(await dispatcher.inbox(user), key=len)
    assert answer == "by the next one"
    assert "switched off" in note
    assert "410" in note
    outcomes = (await dispatcher.get("/api/v1/users/{me}/integration-defaults", user))["items"]
    [outcome] = [each for each in outcomes if each["integration"] == "webhook"]
    assert (outcome["is_used"], "410" in outcome["disabled_reason"]) == (False, True)
    assert outcome["reason"] == outcome["disabled_reason"]
    receiver.failures = deque([410])
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    assert len(receiver.tries) == 1


async def test_five_days_of_failures_switch_off_and_tell_the_owner(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    user = await failing(dispatcher, receiver, 500, 500)
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    assert (await dispatcher.get(f"{MINE}/webhook", user))["enabled"]
    await dispatcher.sql("update user_integration_configs set failing_since = failing_since - interval '5 days'")
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    view = await dispatcher.get(f"{MINE}/webhook", user)
    assert (view["enabled"], "It has failed for 5 days" in view["disabled_reason"]) == (False, True)
    failed, disabled = await dispatcher.inbox(user)
    assert "could not be delivered" in failed
    assert "switched off" in disabled


async def test_without_another_integration_nobody_is_told_and_nothing_waits(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    user = await failing(dispatcher, receiver, 500)
    await dispatcher.call("PUT", f"{MINE}/test", user, json={"enabled": False})
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    assert await dispatcher.inbox(user) == []
    assert [each.status.value for each in dispatcher.sink.reports] == ["failed"]


async def test_one_of_several_that_was_delivered_is_enough(dispatcher: Dispatcher, receiver: WebhookReceiver) -> None:
    user = await failing(dispatcher, receiver, 500)
    await dispatcher.plan(ended(user, wish("webhook", "test", policy="all"), content="here"))
    await dispatcher.idle()
    assert await dispatcher.inbox(user) == ["here"]


async def test_an_overdue_delivery_is_told_too(dispatcher: Dispatcher, receiver: WebhookReceiver) -> None:
    user = new_id()
    await dispatcher.set_webhook(user, receiver.url, retry_count=5, retry_delay_seconds=3600)
    receiver.failures = deque([500])
    await dispatcher.plan(ended(user, wish("webhook")))

    async def is_waiting() -> bool:
        query = "select count(*) from work_items where leased_by is null and run_at > now() + interval '1 minute'"
        return await dispatcher.parts.database.fetchval(query) == 1

    await eventually(is_waiting)
    await dispatcher.sql("update delivery_logs set expires_at = now() - interval '2 minutes'")

    async def is_told() -> bool:
        return len(await dispatcher.inbox(user)) == 1

    await eventually(is_told)
    assert await dispatcher.statuses(user) == {"webhook": "expired"}
