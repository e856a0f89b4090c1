"""Answers that go somewhere else than back to the caller."""

import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.system import System
from tests.support.webhook import HANG


async def test_a_failing_receiver_gets_exactly_one_body_and_three_tries_are_listed(system: System) -> None:
    secret = await system.use_webhook("alice")
    system.webhook.failures.extend([503, HANG])
    asked = await system.ask("alice", "hello", integration_type="webhook")
    await system.idle()
    assert len(system.webhook.tries) == 3
    [received] = system.webhook.accepted
    assert Webhook(secret).verify(received.raw.decode(), received.headers)
    assert asked.content in received.raw.decode()
    assert len({each.headers["webhook-id"] for each in system.webhook.tries}) == 1
    [delivery] = (await system.get("alice", "/api/v1/users/me/deliveries")).json()["items"]
    attempts = (await system.get("alice", f"/api/v1/deliveries/{delivery['delivery_id']}/attempts")).json()["items"]
    assert [attempt["outcome"] for attempt in attempts] == ["delayed", "delayed", "delivered"]
    result = (await system.get("alice", f"/api/v1/requests/{asked.request_id}")).json()
    assert result["deliveries"] == [{"integration": "webhook", "status": "delivered"}]


async def test_the_test_integration_shows_what_was_sent(system: System) -> None:
    asked = await system.ask("alice", "hello", deliver_to=["test"])
    await system.idle()
    [message] = await system.test_messages("alice")
    assert message["content"] == asked.content
    assert await system.test_messages("noah") == []


async def test_an_answer_without_a_wish_goes_to_nobody_else(system: System) -> None:
    await system.use_webhook("alice")
    await system.ask("alice", "hello")
    await system.idle()
    assert system.webhook.tries == []


async def test_the_preferred_integration_is_the_enabled_one_with_the_lowest_number(system: System) -> None:
    await system.use_webhook("alice")
    for other in ("slack", "email"):
        body = {"enabled": True, "priority": 2}
        reply = await system.request("PUT", "alice", f"/api/v1/users/me/integrations/{other}", json=body)
        assert reply.status_code == 200, reply.text
    await system.ask("alice", "hello", deliver_to="preferred")
    await system.idle()
    assert len(system.webhook.accepted) == 1


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_an_end_without_an_answer_is_told_too(system: System, status: str) -> None:
    if status == "failed":
        system.model.is_down()
        await system.ask("alice", "hello", deliver_to=["test"], expect=status)
    else:
        system.model.hold_all()
        accepted = await system.post(
            "alice", {"content": "hello", "deliver_to": ["test"]}, headers={"prefer": "respond-async"}
        )
        await system.request("POST", "alice", f"/api/v1/requests/{accepted.json()['request_id']}/cancel")
        system.model.release()
    await system.idle()
    [message] = await system.test_messages("alice")
    assert message["content"]


async def test_a_gone_receiver_is_not_tried_again_and_a_replay_sends_the_same_id(system: System) -> None:
    await system.use_webhook("alice")
    system.webhook.failures.append(410)
    await system.ask("alice", "hello", deliver_to=["webhook"])
    await system.idle()
    assert len(system.webhook.tries) == 1
    [delivery] = (await system.get("alice", "/api/v1/users/me/deliveries")).json()["items"]
    assert delivery["status"] == "failed"
    await system.use_webhook("alice")
    replayed = await system.request("POST", "alice", f"/api/v1/deliveries/{delivery['delivery_id']}/replay")
    assert replayed.status_code in (200, 202)
    await system.idle()
    assert len(system.webhook.accepted) == 1
    assert len({each.headers["webhook-id"] for each in system.webhook.tries}) == 1
