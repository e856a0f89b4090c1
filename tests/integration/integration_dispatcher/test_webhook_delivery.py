"""Webhooks over real sockets: signature, retries, order, the end of an endpoint."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from shared_models.ids import new_id
from standardwebhooks.webhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.dispatcher import Dispatcher, ended, running, settings, wish
from tests.support.servers import free_socket, serving
from tests.support.waiting import eventually
from tests.support.webhook import HANG, WebhookReceiver


@dataclass
class Endpoint:
    receiver: WebhookReceiver
    url: str

    def contents(self) -> list[str]:
        return [received.body["data"]["response"]["content"] for received in self.receiver.accepted]


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    sock, url = free_socket()
    receiver = WebhookReceiver()
    async with serving(receiver.app(), sock):
        yield Endpoint(receiver, url + "/hook")


async def test_a_receiver_that_fails_twice_gets_exactly_one_body_and_three_attempts_are_listed(
    database_url: str, endpoint: Endpoint
) -> None:
    user = new_id()
    endpoint.receiver.failures = deque([503, HANG])
    async with running(settings(database_url, webhook_timeout_s=3.0)) as dispatcher:
        secret = await dispatcher.set_webhook(user, endpoint.url)
        answer = ended(user, wish("webhook"))
        await dispatcher.plan(answer)
        await dispatcher.idle()
        [delivery] = await dispatcher.deliveries(user)
        attempts = await dispatcher.attempts(delivery["delivery_id"], user)
    assert delivery["status"] == "delivered"
    assert [(attempt["outcome"], attempt["code"], attempt["detail"]) for attempt in attempts] == [
        ("delayed", 503, ""),
        ("delayed", None, "No answer within 3 seconds."),
        ("delivered", 204, ""),
    ]
    assert len(endpoint.receiver.tries) == 3
    assert {received.headers["webhook-id"] for received in endpoint.receiver.tries} == {delivery["delivery_id"]}
    [received] = endpoint.receiver.accepted
    body = Webhook(secret).verify(received.raw, received.headers)
    assert body["type"] == "response.ready"
    assert body["data"]["request_id"] == str(answer.request_id)
    assert body["data"]["response"]["content"] == "Your laptop ships on Monday."


async def test_while_secrets_change_both_verify_and_later_only_the_new_one(
    dispatcher: Dispatcher, endpoint: Endpoint
) -> None:
    user = new_id()
    old = await dispatcher.set_webhook(user, endpoint.url)
    new = await dispatcher.set_webhook(user, endpoint.url, rotate_secret=True)
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    [received] = endpoint.receiver.accepted
    assert old != new
    for secret in (old, new):
        Webhook(secret).verify(received.raw, received.headers)
    assert len(received.headers["webhook-signature"].split()) == 2


async def test_messages_to_one_endpoint_leave_in_order_even_when_the_first_one_fails(
    dispatcher: Dispatcher, endpoint: Endpoint
) -> None:
    user = new_id()
    endpoint.receiver.failures = deque([500, 302, 429])
    await dispatcher.set_webhook(user, endpoint.url)
    for number in range(5):
        await dispatcher.plan(ended(user, wish("webhook"), content=f"answer {number}"))
    await dispatcher.idle()
    assert endpoint.contents() == [f"answer {number}" for number in range(5)]


async def test_a_long_wait_does_not_hold_up_what_comes_after_it(database_url: str, endpoint: Endpoint) -> None:
    user = new_id()
    endpoint.receiver.failures = deque([500])
    given = settings(database_url, integration_defaults={"webhook": {"retry_delay_seconds": 300}})
    async with running(given) as dispatcher:
        await dispatcher.set_webhook(user, endpoint.url)
        await dispatcher.plan(ended(user, wish("webhook"), content="first"))

        async def first_waits() -> bool:
            return [item["status"] for item in await dispatcher.deliveries(user)] == ["retrying"]

        await eventually(first_waits)
        await dispatcher.plan(ended(user, wish("webhook"), content="second"))

        async def second_is_there() -> bool:
            return endpoint.contents() == ["second"]

        await eventually(second_is_there)
        await dispatcher.released()
        await dispatcher.sql("update delivery_logs set next_attempt_at = now() where status = 'retrying'")
        await dispatcher.sql("update work_items set run_at = now()")
        dispatcher.parts.queues.deliveries.wake()
        await dispatcher.idle()
    assert endpoint.contents() == ["second", "first"]


async def test_retry_after_is_honoured(dispatcher: Dispatcher) -> None:
    user = new_id()
    sock, url = free_socket()

    busy = Response("slow down; token=abcdef123", 429, {"retry-after": "120"})

    async def answer(_request: Request) -> Response:
        return busy

    async with serving(Starlette(routes=[Route("/", answer, methods=["POST"])]), sock):
        await dispatcher.set_webhook(user, url + "/")
        await dispatcher.plan(ended(user, wish("webhook")))

        async def waits() -> bool:
            return [item["status"] for item in await dispatcher.deliveries(user)] == ["retrying"]

        await eventually(waits)
    [delivery] = await dispatcher.deliveries(user)
    [attempt] = await dispatcher.attempts(delivery["delivery_id"], user)
    due = datetime.fromisoformat(delivery["next_attempt_at"])
    assert 100 < (due - datetime.now(UTC)).total_seconds() <= 120
    assert (attempt["code"], attempt["detail"]) == (429, "slow down; token=***")


async def test_410_ends_the_delivery_and_switches_the_webhook_off(dispatcher: Dispatcher, endpoint: Endpoint) -> None:
    user = new_id()
    endpoint.receiver.failures = deque([410])
    await dispatcher.set_webhook(user, endpoint.url)
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    assert await dispatcher.statuses(user) == {"webhook": "failed"}
    config = await dispatcher.get("/api/v1/users/{me}/integrations/webhook", user)
    assert config["enabled"] is False
    assert "410" in config["disabled_reason"]
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    assert len(endpoint.receiver.tries) == 1


async def test_an_endpoint_that_has_failed_for_five_days_is_switched_off(database_url: str, endpoint: Endpoint) -> None:
    user = new_id()
    endpoint.receiver.failures = deque([500] * 4)
    async with running(settings(database_url)) as dispatcher:
        await dispatcher.set_webhook(user, endpoint.url, retry_count=1)
        await dispatcher.plan(ended(user, wish("webhook")))
        await dispatcher.idle()
        config = await dispatcher.get("/api/v1/users/{me}/integrations/webhook", user)
        assert config["enabled"] is True
        await dispatcher.sql("update user_integration_configs set failing_since = failing_since - interval '6 days'")
        await dispatcher.plan(ended(user, wish("webhook")))
        await dispatcher.idle()
        config = await dispatcher.get("/api/v1/users/{me}/integrations/webhook", user)
    assert config["enabled"] is False
    assert config["disabled_reason"].startswith("It has failed for 5 days.")


async def test_a_success_ends_the_count_of_failing_days(dispatcher: Dispatcher, endpoint: Endpoint) -> None:
    user = new_id()
    endpoint.receiver.failures = deque([500])
    await dispatcher.set_webhook(user, endpoint.url)
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    failing = await dispatcher.parts.database.fetchval("select failing_since from user_integration_configs")
    assert failing is None


async def test_an_answer_beyond_twenty_kilobytes_is_sent_as_a_link(dispatcher: Dispatcher, endpoint: Endpoint) -> None:
    user = new_id()
    await dispatcher.set_webhook(user, endpoint.url)
    answer = ended(user, wish("webhook"), content="x" * 60_000)
    await dispatcher.plan(answer)
    await dispatcher.idle()
    [received] = endpoint.receiver.accepted
    assert len(received.raw) < 20_000
    assert received.body["data"]["response"] is None
    assert received.body["data"]["result_url"] == f"/api/v1/requests/{answer.request_id}/result"


async def test_an_address_inside_the_network_is_refused_when_set_and_when_called(
    database_url: str, endpoint: Endpoint
) -> None:
    user = new_id()
    async with running(settings(database_url)) as dispatcher:
        await dispatcher.set_webhook(user, endpoint.url)
    async with running(settings(database_url, webhook_allowed_networks="127.0.0.2/32")) as dispatcher:
        path = "/api/v1/users/{me}/integrations/webhook"
        reply = await dispatcher.call("PUT", path, user, json={"config": {"url": endpoint.url}})
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
        await dispatcher.plan(ended(user, wish("webhook")))
        await dispatcher.idle()
        [delivery] = await dispatcher.deliveries(user)
        assert (delivery["status"], delivery["attempts"]) == ("failed", 1)
        assert delivery["reason"] == "The URL points into a network that is not public."
    assert endpoint.receiver.tries == []
