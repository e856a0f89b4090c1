"""`POST /events`: empty replies, 202, 400 or 503; statuses only move forward, in whatever order the events come."""

from datetime import UTC, datetime
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import httpx
from shared_models.enums import DeliveryStatus, IntegrationType, RequestStatus, ServiceName
from shared_models.events import CloudEvent, EventBuilder
from shared_models.schemas import DeliveryReport, NormalizedRequest, RequestProcessing
from shared_models.tokens import ServiceTokens

from tests.support.neighbours import answer_to
from tests.support.request_manager import TOKEN_KEY, Replica, Someone, Stage, service_headers
from tests.support.waiting import eventually

AGENT = EventBuilder(ServiceName.AGENT_SERVICE)
DISPATCHER = EventBuilder(ServiceName.INTEGRATION_DISPATCHER)


async def send(replica: Replica, event: CloudEvent) -> httpx.Response:
    headers, body = event.to_binary()
    headers |= service_headers(ServiceName.AGENT_SERVICE)
    return await replica.client.post("/events", content=body, headers=headers)


def processing(request: NormalizedRequest) -> CloudEvent:
    note = RequestProcessing(
        request_id=request.request_id,
        session_id=request.session_id,
        person=request.person,
        integration_type=request.integration_type,
        delivery=request.delivery,
    )
    return AGENT.request_processing(note)


def report(request: NormalizedRequest, status: DeliveryStatus) -> CloudEvent:
    return DISPATCHER.delivery(
        DeliveryReport(
            request_id=request.request_id,
            session_id=request.session_id,
            user_id=request.person.user_id,
            delivery_id=uuid4(),
            integration=IntegrationType.WEBHOOK,
            status=status,
        )
    )


async def held(stage: Stage, replica: Replica, someone: Someone, **body: Any) -> NormalizedRequest:
    """A request whose run goes on."""
    stage.agents.holds = True
    before = len(stage.agents.asked)
    await replica.post(someone, **body)

    async def asked() -> bool:
        return len(stage.agents.asked) > before

    await eventually(asked)
    return stage.agents.asked[-1]


async def test_processing_is_shown_and_passed_on_only_for_a_delivery(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    quiet = await held(stage, replica, ana)
    delivered = await held(stage, replica, ana, integration_type="webhook")
    for request in (quiet, delivered):
        reply = await send(replica, processing(request))
        assert (reply.status_code, reply.content) == (202, b"")
        state = await replica.get(ana, f"/api/v1/requests/{request.request_id}/status")
        assert state.json()["status"] == "processing"
    assert [event.subject for event in stage.dispatcher.events] == [f"request/{delivered.request_id}"]


async def test_an_answer_that_comes_as_an_event_completes_the_request(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    request = await held(stage, replica, ana, integration_type="webhook")
    for _ in range(2):
        reply = await send(replica, AGENT.response_ready(answer_to(request, "by event")))
        assert (reply.status_code, reply.content) == (202, b"")
    result = await replica.get(ana, f"/api/v1/requests/{request.request_id}/result")
    assert result.json()["response"]["content"] == "by event"
    assert stage.dispatcher.told == []  # the broker brings it there as well


async def test_every_order_of_the_events_gives_the_same_rows(stage: Stage, replica: Replica, ana: Someone) -> None:
    seen = set()
    for order in permutations(range(4)):
        await replica.parts.database.execute("update users set window_count = 0, open_requests = 0")
        request = await held(stage, replica, ana)
        events = [
            processing(request),
            AGENT.response_ready(answer_to(request, "done")),
            report(request, DeliveryStatus.FAILED),
            report(request, DeliveryStatus.DELIVERED),
        ]
        for index in order:
            assert (await send(replica, events[index])).status_code == 202
        stage.agents.finish(request.request_id)
        result = (await replica.get(ana, f"/api/v1/requests/{request.request_id}/result")).json()
        seen.add((result["status"], result["response"]["content"], str(result["deliveries"])))
    assert seen == {("completed", "done", "[{'integration': 'webhook', 'status': 'delivered'}]")}


async def test_the_first_end_stays(stage: Stage, replica: Replica, ana: Someone) -> None:
    request = await held(stage, replica, ana)
    await send(replica, AGENT.response_ready(answer_to(request, status=RequestStatus.CANCELLED)))
    await send(replica, AGENT.response_ready(answer_to(request, "too late")))
    result = (await replica.get(ana, f"/api/v1/requests/{request.request_id}/result")).json()
    assert (result["status"], result["response"]) == ("cancelled", None)
    assert await replica.parts.database.fetchval("select open_requests from users") == 0


async def test_events_of_unknown_requests_are_done_at_once(stage: Stage, replica: Replica, ana: Someone) -> None:
    request = (await held(stage, replica, ana)).model_copy(update={"request_id": UUID(int=7)})
    for event in (processing(request), AGENT.response_ready(answer_to(request))):
        assert (await send(replica, event)).status_code == 202


async def test_a_dispatcher_that_is_away_makes_the_sender_come_again(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    request = await held(stage, replica, ana, integration_type="webhook")
    stage.dispatcher.is_away = True
    reply = await send(replica, processing(request))
    assert (reply.status_code, reply.content) == (503, b"")
    stage.dispatcher.is_away = False
    assert (await send(replica, processing(request))).status_code == 202


def _event(**changed: Any) -> CloudEvent:
    values: dict[str, Any] = {
        "id": "1",
        "source": "/self-service-agent/agent-service",
        "type": "com.self-service-agent.response.ready",
        "time": datetime.now(UTC),
        "datacontenttype": "application/json",
        "data": {},
    }
    return CloudEvent.model_validate(values | changed)


NEVER = [
    _event(data={"request_id": "no id"}),
    _event(data=[1]),
    _event(data=None),
    _event(type="com.self-service-agent.request.created"),
    _event(type="org.example.other"),
]


async def test_what_will_never_be_taken_is_a_400_without_a_body(replica: Replica) -> None:
    for event in NEVER:
        reply = await send(replica, event)
        assert (reply.status_code, reply.content) == (400, b""), event


async def test_malformed_events_are_a_400_without_a_body(replica: Replica) -> None:
    headers = service_headers(ServiceName.AGENT_SERVICE)
    for body in (b"", b"{", b"\xff", b"[" * 20_000, b'"\\ud800"', b"null"):
        for content_type in ("application/cloudevents+json", "application/json", "application/cloudevents-batch+json"):
            reply = await replica.client.post("/events", content=body, headers=headers | {"content-type": content_type})
            assert (reply.status_code, reply.content) == (400, b""), (content_type, body[:10])


async def test_events_are_taken_from_services_alone(replica: Replica, ana: Someone) -> None:
    headers, body = _event().to_binary()
    assert (await replica.client.post("/events", content=body, headers=headers)).status_code == 401
    assert (await replica.client.post("/events", content=body, headers=headers | ana.headers)).status_code == 401
    for token in (
        ServiceTokens("other key " * 5, ServiceName.AGENT_SERVICE).make(ServiceName.REQUEST_MANAGER),
        ServiceTokens(TOKEN_KEY, ServiceName.AGENT_SERVICE).make(ServiceName.INTEGRATION_DISPATCHER),
    ):
        reply = await replica.client.post(
            "/events", content=body, headers=headers | {"authorization": f"Bearer {token}"}
        )
        assert reply.status_code == 401
