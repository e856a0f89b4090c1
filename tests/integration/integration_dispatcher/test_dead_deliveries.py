"""Failed deliveries and reports as dead letters, as request-manager gathers them for the operators."""

from collections import deque
from typing import Any
from uuid import UUID

import httpx
import pytest
from integration_dispatcher.store import dead_deliveries
from integration_dispatcher.store.names import EVENTS
from shared_models.ids import new_id

from tests.support.dispatcher import PREFERRED, Dispatcher, ended, service_token, wish
from tests.support.waiting import eventually
from tests.support.webhook import WebhookReceiver

LETTERS = "/api/v1/dead-letters"
PRIVATE = "Your salary is on Monday."


async def call(dispatcher: Dispatcher, method: str, path: str = "", **params: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {service_token()}"}
    return await dispatcher.http.request(method, LETTERS + path, params=params, headers=headers)


async def letters(dispatcher: Dispatcher, **params: Any) -> list[dict[str, Any]]:
    reply = await call(dispatcher, "GET", **params)
    assert reply.status_code == 200, reply.text
    assert PRIVATE not in reply.text
    items: list[dict[str, Any]] = reply.json()["items"]
    return items


@pytest.fixture
async def failed(dispatcher: Dispatcher, receiver: WebhookReceiver) -> dict[str, Any]:
    """A delivery that its receiver has refused for good."""
    user = new_id()
    receiver.failures = deque([410])
    await dispatcher.set_webhook(user, receiver.url)
    await dispatcher.plan(ended(user, wish("webhook"), content=PRIVATE))
    await dispatcher.idle()
    [delivery] = await dispatcher.deliveries(user)
    assert delivery["status"] == "failed"
    return delivery


async def test_a_failed_delivery_is_listed_and_shown_without_its_content(
    dispatcher: Dispatcher, failed: dict[str, Any]
) -> None:
    [letter] = await letters(dispatcher)
    assert letter["id"] == f"integration-dispatcher:{failed['delivery_id']}"
    assert (letter["kind"], letter["request_id"], letter["attempts"]) == ("delivery", failed["request_id"], 1)
    assert letter["cause"] == failed["reason"]
    detail = await call(dispatcher, "GET", f"/{letter['id']}")
    assert detail.json()["facts"] == {
        "delivery_id": failed["delivery_id"],
        "integration": "webhook",
        "status": "failed",
    }
    assert PRIVATE not in detail.text
    assert await letters(dispatcher, kind="event") == []
    assert await letters(dispatcher, service="agent-service") == []


async def test_a_replayed_delivery_arrives_with_the_same_id_and_leaves_the_list(
    dispatcher: Dispatcher, receiver: WebhookReceiver, failed: dict[str, Any]
) -> None:
    [letter] = await letters(dispatcher)
    await dispatcher.sql("update user_integration_configs set enabled = true")
    assert (await call(dispatcher, "POST", f"/{letter['id']}/replay")).status_code == 202
    await dispatcher.idle()
    first, second = receiver.tries
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert await letters(dispatcher) == []
    assert (await call(dispatcher, "POST", f"/{letter['id']}/replay")).status_code == 404


async def test_a_discarded_delivery_leaves_the_list_and_its_person_still_sees_how_it_ended(
    dispatcher: Dispatcher, failed: dict[str, Any]
) -> None:
    [letter] = await letters(dispatcher)
    assert (await call(dispatcher, "DELETE", f"/{letter['id']}")).status_code == 204
    assert (await call(dispatcher, "DELETE", f"/{letter['id']}")).status_code == 404
    assert await letters(dispatcher) == []
    user = UUID(failed["user_id"])
    assert (await dispatcher.get(f"/api/v1/deliveries/{failed['delivery_id']}", user))["status"] == "failed"


async def test_a_report_that_was_refused_for_good_is_listed_and_replayed(dispatcher: Dispatcher) -> None:
    dispatcher.sink.statuses = [400]
    user = new_id()
    await dispatcher.plan(ended(user, wish("test")))

    async def is_dead() -> bool:
        return len(await letters(dispatcher, queue=EVENTS)) == 1

    await eventually(is_dead)
    [letter] = await letters(dispatcher, kind="event")
    detail = (await call(dispatcher, "GET", f"/{letter['id']}")).json()
    assert (detail["facts"]["integration"], detail["facts"]["status"]) == ("test", "delivered")
    assert (await call(dispatcher, "POST", f"/{letter['id']}/replay")).status_code == 202
    await dispatcher.idle()
    assert [report.status for report in dispatcher.sink.reports] == ["delivered"]
    assert await letters(dispatcher) == []


async def test_the_operators_port_counts_failed_deliveries_and_what_waits(
    dispatcher: Dispatcher, failed: dict[str, Any]
) -> None:
    transport = httpx.ASGITransport(dispatcher.app.state.operations)
    async with httpx.AsyncClient(transport=transport, base_url="http://operations") as http:
        assert 'ssa_dead_letters{queue="integration-dispatcher.deliveries"} 1.0' in (await http.get("/metrics")).text
        [letter] = await letters(dispatcher)
        await call(dispatcher, "DELETE", f"/{letter['id']}")
        shown = (await http.get("/metrics")).text
    assert 'ssa_dead_letters{queue="integration-dispatcher.deliveries"} 0.0' in shown
    for gauge in ("ssa_queue_depth", "ssa_outbox_oldest_age_seconds", "ssa_dead_letters"):
        for queue in ("deliveries", "events", "refused"):
            assert f'{gauge}{{queue="integration-dispatcher.{queue}"}} 0.0' in shown


async def test_what_was_never_tried_is_no_dead_letter(dispatcher: Dispatcher) -> None:
    user = new_id()
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    [delivery] = await dispatcher.deliveries(user)
    assert delivery["status"] == "failed"
    assert await letters(dispatcher) == []


async def test_what_the_next_integration_has_delivered_is_no_dead_letter_and_is_not_sent_again(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    user = new_id()
    receiver.failures = deque([500, 500])
    await dispatcher.set_webhook(user, receiver.url, retry_count=0)
    await dispatcher.plan(ended(user, PREFERRED))
    await dispatcher.plan(ended(user, wish("webhook", "test", policy="all")))

    async def have_ended() -> bool:
        states = [(each["integration"], each["status"]) for each in await dispatcher.deliveries(user)]
        return sorted(states) == [("test", "delivered")] * 2 + [("webhook", "failed")] * 2

    await eventually(have_ended)
    await dispatcher.idle()
    [fanned_out] = await letters(dispatcher)
    assert await dead_deliveries.count(dispatcher.parts.database) == 1
    [fallen_back] = [
        each["delivery_id"]
        for each in await dispatcher.deliveries(user)
        if each["status"] == "failed" and each["request_id"] != fanned_out["request_id"]
    ]
    letter_id = f"integration-dispatcher:{fallen_back}"
    assert (await call(dispatcher, "POST", f"/{letter_id}/replay")).status_code == 404
    assert (await dispatcher.call("POST", f"/api/v1/deliveries/{fallen_back}/replay", user)).status_code == 202
    await dispatcher.idle()
    assert len(receiver.accepted) == 1
