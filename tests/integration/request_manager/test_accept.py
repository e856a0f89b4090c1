"""Asking: recorded once and for good, answered in the reply or later."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from shared_models.enums import RequestStatus
from shared_models.schemas import ErrorInfo, RequestResult

from tests.support.neighbours import answer_to
from tests.support.request_manager import Replica, Someone, Stage, service_headers
from tests.support.waiting import eventually


async def test_a_question_is_answered_in_the_reply(stage: Stage, replica: Replica, ana: Someone) -> None:
    reply = await replica.ask(ana, "Where is my laptop?", metadata={"b": 1, "a": [1.0, None, "ü"]})
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body["status"] == "completed"
    assert body["response"]["content"] == "You said: Where is my laptop?"
    assert body["metadata"] == {"b": 1, "a": [1.0, None, "ü"]}
    assert RequestResult.model_validate_json(reply.content).processing_time_ms is not None
    assert reply.headers["location"] == f"/api/v1/requests/{body['request_id']}/result"
    assert stage.agents.asked[0].person.email == ana.email
    assert stage.agents.asked[0].conversation_key == f"generic:{body['session_id']}"


async def test_the_reply_and_the_result_are_the_same_bytes(replica: Replica, ana: Someone) -> None:
    reply = await replica.ask(ana, "é \U0001f4bb", metadata={"z": 1e5, "a": {"z": 1, "b": "\U0001f4bb"}, "f": 1.10})
    result = await replica.get(ana, f"/api/v1/requests/{reply.json()['request_id']}/result")
    assert result.status_code == 200
    assert result.content == reply.content


async def test_who_does_not_wait_gets_the_ids_and_asks_later(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.holds = True
    headers = {**ana.headers, "prefer": "respond-async"}
    reply = await replica.client.post("/api/v1/requests/web", json={"content": "hello"}, headers=headers)
    assert reply.status_code == 202
    assert reply.headers["preference-applied"] == "respond-async"
    assert int(reply.headers["retry-after"]) >= 1
    assert set(reply.json()) == {"request_id", "session_id", "status"}
    location = reply.headers["location"]
    running = await replica.get(ana, location)
    assert (running.status_code, running.json()) == (202, reply.json())
    asking = asyncio.create_task(replica.get(ana, location, wait=20))
    await eventually(lambda: _asked(stage, 1))
    stage.agents.finish_all()
    assert (await asking).json()["response"]["content"] == "You said: hello"


async def test_waiting_ends_when_the_time_is_up(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.holds = True
    headers = {**ana.headers, "prefer": "wait=1"}
    reply = await replica.client.post("/api/v1/requests/cli", json={"content": "hello"}, headers=headers)
    assert (reply.status_code, reply.headers["preference-applied"]) == (202, "wait=1")
    status = await replica.get(ana, f"/api/v1/requests/{reply.json()['request_id']}/status")
    assert status.json()["status"] == "accepted"


async def test_a_run_that_goes_on_is_asked_for_again_without_counting(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.holds, stage.agents.patience_s = True, 0.0
    accepted = await replica.post(ana)
    await eventually(lambda: _asked(stage, 1))
    stage.agents.finish_all()
    result = await replica.get(ana, f"/api/v1/requests/{accepted['request_id']}/result", wait=10)
    assert result.json()["status"] == "completed"
    assert await replica.parts.database.fetchval("select count(*) from work_items") == 0


async def test_a_request_that_failed_tells_why(stage: Stage, replica: Replica, ana: Someone) -> None:
    error = ErrorInfo(code="model_unavailable", message="The model does not answer.", retryable=True)
    stage.agents.say = lambda request: answer_to(request, status=RequestStatus.FAILED, error=error)
    reply = await replica.ask(ana)
    assert reply.status_code == 200
    assert (reply.json()["status"], reply.json()["error"]["code"]) == ("failed", "model_unavailable")
    assert reply.json()["response"] is None


@pytest.mark.parametrize("entry", ["web", "cli", "generic"])
async def test_the_entries_of_people_take_their_own_fields(
    stage: Stage, replica: Replica, ana: Someone, entry: str
) -> None:
    fields: dict[str, dict[str, Any]] = {
        "web": {"user_agent": "x", "session_token": "secret"},
        "cli": {"command_context": {"cwd": "/"}},
    }
    own = fields.get(entry, {})
    assert (await replica.ask(ana, entry=entry, **own)).status_code == 200
    assert stage.agents.asked[0].context == {key: value for key, value in own.items() if key != "session_token"}
    assert stage.agents.asked[0].integration_type == entry


async def test_a_session_goes_on_from_any_entry(stage: Stage, replica: Replica, ana: Someone) -> None:
    first = (await replica.ask(ana, "one")).json()
    second = (await replica.ask(ana, "two", entry="cli", session_id=first["session_id"])).json()
    assert second["session_id"] == first["session_id"]
    assert [request.sequence for request in stage.agents.asked] == [1, 2]
    assert [request.named_session for request in stage.agents.asked] == [False, True]
    third = (await replica.ask(ana, "three")).json()
    assert third["session_id"] != first["session_id"]


async def test_requests_of_one_session_are_handed_over_in_their_order(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.holds = True
    first = await replica.post(ana, "one")
    await eventually(lambda: _asked(stage, 1))
    for content in ("two", "three"):
        await replica.post(ana, content, session_id=first["session_id"])
    await replica.post(ana, "status", session_id=first["session_id"])
    await eventually(lambda: _asked(stage, 2))
    assert [request.content for request in stage.agents.asked] == ["one", "status"]
    stage.agents.finish_all()
    await eventually(lambda: _asked(stage, 4))
    assert [request.content for request in stage.agents.asked] == ["one", "status", "two", "three"]
    assert [request.sequence for request in stage.agents.asked] == [1, 4, 2, 3]


async def test_another_persons_session_is_not_there(replica: Replica, ana: Someone, ben: Someone) -> None:
    session_id = (await replica.ask(ana)).json()["session_id"]
    for unknown in (session_id, str(UUID(int=7))):
        reply = await replica.ask(ben, session_id=unknown)
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    assert await replica.parts.database.fetchval("select max(request_count) from conversations") == 1


async def test_an_expired_session_takes_nothing_more(replica: Replica, ana: Someone) -> None:
    session_id = (await replica.ask(ana)).json()["session_id"]
    await replica.parts.database.execute("update conversations set expires_at = now()")
    reply = await replica.ask(ana, session_id=session_id)
    assert (reply.status_code, reply.json()["code"]) == (409, "session_ended")


async def test_the_answer_goes_to_the_dispatcher_only_when_delivery_is_wanted(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    await replica.ask(ana, "one")
    wanted = (await replica.ask(ana, "two", integration_type="webhook")).json()
    await replica.ask(ana, "three", integration_type="generic")
    await eventually(lambda: _told(stage, 1))
    assert str(stage.dispatcher.told[0].request_id) == wanted["request_id"]
    delivery = stage.dispatcher.told[0].delivery
    assert delivery is not None
    assert (delivery.mode, delivery.targets) == ("targets", ["webhook"])


async def test_the_dispatcher_is_told_when_it_is_back(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.dispatcher.is_away = True
    assert (await replica.ask(ana, deliver_to=["webhook", "email"])).status_code == 200
    stage.dispatcher.is_away = False
    await eventually(lambda: _told(stage, 1))
    assert stage.dispatcher.told[0].response is not None


async def test_requests_wait_for_an_agent_service_that_is_away(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.is_away = True
    accepted = await replica.post(ana)
    stage.agents.is_away = False
    result = await replica.get(ana, f"/api/v1/requests/{accepted['request_id']}/result", wait=20)
    assert result.json()["status"] == "completed"


async def test_when_nothing_can_be_stored_nothing_is_accepted(replica: Replica, ana: Someone) -> None:
    await replica.ask(ana)
    await replica.parts.database.close()
    reply = await replica.ask(ana)
    assert (reply.status_code, reply.json()["retryable"]) == (503, True)
    assert "retry-after" in reply.headers


async def _asked(stage: Stage, count: int) -> bool:
    return len(stage.agents.asked) >= count


async def _told(stage: Stage, count: int) -> bool:
    return len(stage.dispatcher.told) >= count


SLACK = {"channel_id": "C1", "thread_id": "17.1", "slack_user_id": "U1", "slack_team_id": "T1"}
MAIL = {"email_from": "ana@example.com", "message_id": "<1@example.com>", "subject": "Laptop"}


async def from_dispatcher(replica: Replica, entry: str, someone: Someone, **body: object) -> dict[str, object]:
    reply = await replica.client.post(
        f"/api/v1/requests/{entry}",
        json={"content": "hello", "user_id": str(someone.user_id), **body},
        headers=service_headers(),
    )
    assert reply.status_code == 200, reply.text
    value: dict[str, object] = reply.json()
    return value


async def test_a_thread_is_one_conversation_per_person(
    stage: Stage, replica: Replica, ana: Someone, ben: Someone
) -> None:
    first = await from_dispatcher(replica, "slack", ana, **SLACK)
    again = await from_dispatcher(replica, "slack", ana, **SLACK)
    other_thread = await from_dispatcher(replica, "slack", ana, **SLACK | {"thread_id": "18.1"})
    colleague = await from_dispatcher(replica, "slack", ben, **SLACK)
    assert again["session_id"] == first["session_id"]
    assert len({first["session_id"], other_thread["session_id"], colleague["session_id"]}) == 3
    await eventually(lambda: _told(stage, 4))
    assert all(answer.delivery and answer.delivery.mode == "origin" for answer in stage.dispatcher.told)
    assert stage.dispatcher.told[0].delivery is not None
    assert stage.dispatcher.told[0].delivery.context["thread_id"] in ("17.1", "18.1")


async def test_a_direct_message_channel_is_one_conversation(replica: Replica, ana: Someone) -> None:
    direct = SLACK | {"channel_id": "D1"}
    first = await from_dispatcher(replica, "slack", ana, **direct)
    second = await from_dispatcher(replica, "slack", ana, **direct | {"thread_id": None})
    assert second["session_id"] == first["session_id"]


async def test_a_mail_thread_is_one_conversation(replica: Replica, ana: Someone) -> None:
    first = await from_dispatcher(replica, "email", ana, **MAIL)
    reply = MAIL | {
        "message_id": "<3@example.com>",
        "in_reply_to": "<2@rm>",
        "references": ["<1@example.com>", "<2@rm>"],
    }
    assert (await from_dispatcher(replica, "email", ana, **reply))["session_id"] == first["session_id"]
    other = await from_dispatcher(replica, "email", ana, **MAIL | {"message_id": "<9@example.com>"})
    assert other["session_id"] != first["session_id"]


async def test_an_expired_thread_begins_anew(replica: Replica, ana: Someone) -> None:
    first = await from_dispatcher(replica, "slack", ana, **SLACK)
    await replica.parts.database.execute("update conversations set expires_at = now()")
    second = await from_dispatcher(replica, "slack", ana, **SLACK)
    assert second["session_id"] != first["session_id"]
    found = await replica.parts.database.fetch("select status from conversations order by created_at")
    assert [row["status"] for row in found] == ["expired", "active"]


async def test_a_new_conversation_begins_after_the_person_asked_for_one(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.say = lambda request: answer_to(request, session_ended=request.content == "new")
    first = await from_dispatcher(replica, "slack", ana, **SLACK)
    assert (await from_dispatcher(replica, "slack", ana, **SLACK | {"content": "new"}))["session_id"] == first[
        "session_id"
    ]
    assert (await from_dispatcher(replica, "slack", ana, **SLACK))["session_id"] != first["session_id"]


async def test_the_key_stays_taken_while_the_conversation_is_closing(replica: Replica, ana: Someone) -> None:
    await from_dispatcher(replica, "slack", ana, **SLACK)
    await replica.parts.database.execute("update conversations set status = 'closing'")
    body = {"content": "hello", "user_id": str(ana.user_id), **SLACK}
    reply = await replica.client.post("/api/v1/requests/slack", json=body, headers=service_headers())
    assert (reply.status_code, reply.json()["retryable"]) == (503, True)
