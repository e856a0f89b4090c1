"""With a broker the same messages travel as events; nothing else changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
from request_manager.domain.ends import EndReason
from shared_models.enums import ServiceName
from shared_models.events import CloudEvent, EventBuilder, EventType, parse_http
from shared_models.schemas import AgentResponse, NormalizedRequest

from tests.support.neighbours import answer_to
from tests.support.request_manager import Replica, Stage, service_headers, stage
from tests.support.waiting import eventually

BROKER = "http://broker.test/ns/default"
AGENT = EventBuilder(ServiceName.AGENT_SERVICE)


@asynccontextmanager
async def with_broker(database_url: str) -> AsyncIterator[tuple[Stage, Replica, list[CloudEvent]]]:
    published: list[CloudEvent] = []

    async def broker(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == BROKER
        published.append(parse_http(dict(request.headers), request.content))
        return httpx.Response(202)

    settings = {"eventing_enabled": True, "broker_url": BROKER}
    async with stage(database_url, others=broker) as made, made.replica(**settings) as replica:
        yield made, replica, published


async def test_a_question_goes_to_the_broker_and_its_answer_comes_as_an_event(database_url: str) -> None:
    async with with_broker(database_url) as (made, replica, published):
        ana = await made.person()
        accepted = await replica.post(ana, "hello", integration_type="webhook")

        async def sent() -> bool:
            return len(published) == 1

        await eventually(sent)
        event = published[0]
        assert event.type == EventType.REQUEST_CREATED
        assert event.extensions["partitionkey"] == accepted["session_id"]
        assert event.extensions["sequence"] == "1"
        request = NormalizedRequest.model_validate(event.data)
        headers, body = AGENT.response_ready(answer_to(request, "by event")).to_binary()
        headers |= service_headers(ServiceName.AGENT_SERVICE)
        assert (await replica.client.post("/events", content=body, headers=headers)).status_code == 202
        result = await replica.get(ana, f"/api/v1/requests/{accepted['request_id']}/result")
        assert result.json()["response"]["content"] == "by event"
        assert (made.agents.asked, made.dispatcher.told, len(published)) == ([], [], 1)


async def test_an_answer_found_by_a_late_cancel_does_not_overtake_the_one_before(database_url: str) -> None:
    async with with_broker(database_url) as (made, replica, published):
        ana = await made.person()
        one = await replica.post(ana, "one", integration_type="webhook")
        two = await replica.post(ana, "two", integration_type="webhook", session_id=one["session_id"])

        async def sent() -> bool:
            return len(published) == 2

        await eventually(sent)
        answers = [answer_to(NormalizedRequest.model_validate(event.data), "by event") for event in published]
        made.agents.answers |= {answer.request_id: answer for answer in answers}
        # The runs of both have ended; neither answer has come as an event yet.
        await replica.parts.ends.ask(UUID(two["request_id"]), EndReason.CANCELLED)

        async def asked() -> bool:
            return len(made.agents.ended) == 1 and replica.parts.ends.queue.is_idle

        await eventually(asked)
        assert await replica.parts.database.fetchval("select count(*) from request_logs where ended_at is null") == 2
        for answer in answers:
            headers, body = AGENT.response_ready(answer).to_binary()
            headers |= service_headers(ServiceName.AGENT_SERVICE)
            assert (await replica.client.post("/events", content=body, headers=headers)).status_code == 202
        for accepted in (one, two):
            result = await replica.get(ana, f"/api/v1/requests/{accepted['request_id']}/result", wait=20)
            assert result.json()["response"]["content"] == "by event"
        assert [event.type for event in published] == [EventType.REQUEST_CREATED] * 2


async def test_an_end_that_we_bring_about_is_published(database_url: str) -> None:
    async with with_broker(database_url) as (made, replica, published):
        ana = await made.person()
        accepted = await replica.post(ana, "hello", integration_type="webhook")
        path = f"/api/v1/requests/{accepted['request_id']}/cancel"
        assert (await replica.client.post(path, headers=ana.headers)).json()["status"] == "cancelled"

        async def told() -> bool:
            return [event.type for event in published] == [EventType.REQUEST_CREATED, EventType.RESPONSE_READY]

        await eventually(told)
        assert AgentResponse.model_validate(published[1].data).status == "cancelled"
