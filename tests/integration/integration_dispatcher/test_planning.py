"""An ended request becomes deliveries: once, where it was asked for, in words for its person."""

import asyncio

import pytest
from shared_models.enums import RequestStatus, ServiceName
from shared_models.events import EventBuilder, EventType
from shared_models.ids import new_id
from shared_models.schemas import ErrorInfo, RequestProcessing

from tests.support.dispatcher import PREFERRED, Dispatcher, ended, service_token, wish


async def test_an_answer_lands_in_the_inbox_and_request_manager_hears_of_it(dispatcher: Dispatcher) -> None:
    user = new_id()
    answer = ended(user, PREFERRED)
    await dispatcher.plan(answer)
    await dispatcher.idle()
    assert await dispatcher.inbox(user) == ["Your laptop ships on Monday."]
    [delivery] = await dispatcher.deliveries(user)
    assert (delivery["status"], delivery["attempts"], delivery["is_late"]) == ("delivered", 1, False)
    [report] = dispatcher.sink.reports
    assert (report.request_id, report.user_id, report.status) == (answer.request_id, user, "delivered")
    assert str(report.delivery_id) == delivery["delivery_id"]


async def test_fifty_copies_at_once_and_changed_settings_between_them_give_one_message(dispatcher: Dispatcher) -> None:
    user = new_id()
    answer = ended(user, wish("test"))
    event = EventBuilder(ServiceName.AGENT_SERVICE).response_ready(answer)
    headers, body = event.to_binary()
    headers["authorization"] = f"Bearer {service_token()}"
    copies = [dispatcher.plan(answer) for _ in range(25)]
    events = [dispatcher.http.post("/events", content=body, headers=headers) for _ in range(25)]
    _, replies = await asyncio.gather(asyncio.gather(*copies), asyncio.gather(*events))
    assert {(reply.status_code, reply.content) for reply in replies} == {(202, b"")}
    await dispatcher.call("PUT", "/api/v1/users/{me}/integrations/test", user, json={"priority": 1})
    await dispatcher.plan(answer)
    await dispatcher.idle()
    assert len(await dispatcher.inbox(user)) == 1
    assert len(await dispatcher.deliveries(user)) == 1
    assert len(dispatcher.sink.reports) == 1


async def test_without_a_wish_nothing_is_stored(dispatcher: Dispatcher) -> None:
    await dispatcher.plan(ended(new_id(), None))
    assert await dispatcher.parts.database.fetchval("select count(*) from delivery_plans") == 0


async def test_a_person_without_usable_integrations_gets_nothing_and_that_is_no_error(dispatcher: Dispatcher) -> None:
    user = new_id()
    await dispatcher.call("PUT", "/api/v1/users/{me}/integrations/test", user, json={"enabled": False})
    await dispatcher.plan(ended(user, PREFERRED))
    assert await dispatcher.deliveries(user) == []


async def test_what_was_asked_for_by_name_and_cannot_be_is_told_as_failed(dispatcher: Dispatcher) -> None:
    user = new_id()
    await dispatcher.call("PUT", "/api/v1/users/{me}/integrations/test", user, json={"enabled": False})
    await dispatcher.plan(ended(user, wish("webhook", "test", "sms")))
    await dispatcher.idle()
    assert await dispatcher.statuses(user) == {"webhook": "failed", "test": "failed", "sms": "failed"}
    reasons = {report.integration.value: report.reason for report in dispatcher.sink.reports}
    assert reasons["webhook"] == "This integration is not set up."
    assert reasons["test"] == "This integration is switched off."
    assert reasons["sms"] == "This integration does not exist here."


async def test_an_unusable_first_choice_does_not_keep_the_second_from_delivering(dispatcher: Dispatcher) -> None:
    user = new_id()
    await dispatcher.plan(ended(user, wish("webhook", "test")))
    await dispatcher.idle()
    assert await dispatcher.statuses(user) == {"webhook": "failed", "test": "delivered"}


@pytest.mark.parametrize("status", [RequestStatus.FAILED, RequestStatus.CANCELLED, RequestStatus.EXPIRED])
async def test_every_other_end_is_told_in_words(dispatcher: Dispatcher, status: RequestStatus) -> None:
    user = new_id()
    error = ErrorInfo(code="tool_unavailable", message="ServiceNow does not answer.", retryable=True)
    await dispatcher.plan(ended(user, wish("test"), status=status, error=error))
    await dispatcher.idle()
    [text] = await dispatcher.inbox(user)
    assert "ServiceNow does not answer." in text
    assert text.endswith("You can ask again.")


async def test_text_that_no_column_takes_is_delivered_without_it(dispatcher: Dispatcher) -> None:
    user = new_id()
    await dispatcher.plan(ended(user, wish("test"), content="before\x00after"))
    await dispatcher.idle()
    assert await dispatcher.inbox(user) == ["beforeafter"]


async def test_a_note_of_progress_is_taken_and_delivers_nothing(dispatcher: Dispatcher) -> None:
    answer = ended(new_id(), wish("test"))
    data = {name: getattr(answer, name) for name in ("request_id", "session_id", "person", "integration_type")}
    note = EventBuilder(ServiceName.AGENT_SERVICE).request_processing(RequestProcessing(**data, delivery=wish("test")))
    headers, body = note.to_binary()
    headers["authorization"] = f"Bearer {service_token()}"
    reply = await dispatcher.http.post("/events", content=body, headers=headers)
    assert (reply.status_code, reply.content) == (202, b"")
    assert await dispatcher.parts.database.fetchval("select count(*) from delivery_plans") == 0


def with_header(name: str, value: str | None) -> dict[str, str]:
    answer = ended(new_id(), None)
    headers, _ = EventBuilder(ServiceName.AGENT_SERVICE).response_ready(answer).to_binary()
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    return headers


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (with_header("ce-id", None), b"{}"),
        (with_header("ce-type", EventType.DELIVERY_FAILED), b"{}"),
        (with_header("ce-type", "com.example.other"), b"{}"),
        (with_header("ce-type", EventType.REQUEST_PROCESSING), b"{}"),
        (with_header("ce-id", "1"), b"{}"),
        (with_header("ce-id", "1"), b"no json"),
        (with_header("ce-id", "1"), b'{"a": "\\ud800"}'),
        (with_header("ce-id", "1"), b"[" * 100_000),
        (with_header("ce-id", "1"), b""),
        (with_header("content-type", "application/cloudevents-batch+json"), b"[]"),
    ],
)
async def test_a_malformed_event_is_refused_for_good_with_an_empty_body(
    dispatcher: Dispatcher, headers: dict[str, str], body: bytes
) -> None:
    headers = headers | {"authorization": f"Bearer {service_token()}"}
    reply = await dispatcher.http.post("/events", content=body, headers=headers)
    assert (reply.status_code, reply.content) == (400, b"")


async def test_a_request_that_has_not_ended_is_not_planned(dispatcher: Dispatcher) -> None:
    answer = ended(new_id(), wish("test")).model_copy(update={"status": RequestStatus.PROCESSING})
    reply = await dispatcher.post_answer(answer.model_dump_json().encode())
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
    reply = await dispatcher.post_answer(b"{")
    assert reply.status_code == 422


async def test_a_database_that_is_away_means_later(dispatcher: Dispatcher) -> None:
    answer = ended(new_id(), wish("test"))
    headers, body = EventBuilder(ServiceName.AGENT_SERVICE).response_ready(answer).to_binary()
    headers["authorization"] = f"Bearer {service_token()}"
    await dispatcher.parts.database.close()
    reply = await dispatcher.http.post("/events", content=body, headers=headers)
    assert (reply.status_code, reply.content) == (503, b"")
    reply = await dispatcher.post_answer(answer.model_dump_json().encode())
    assert reply.status_code == 503
