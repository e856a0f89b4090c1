"""`POST /dead-letters`: what the broker gave up ends what it was about, is kept, and can be sent again."""

import base64
from typing import Any
from uuid import UUID

import httpx
import pytest
from request_manager.dead_events import DEAD_EVENTS_QUEUE
from shared_models.enums import Role, ServiceName
from shared_models.events import CloudEvent, EventBuilder, EventType
from shared_models.ids import new_id
from shared_models.schemas import NormalizedRequest

from tests.integration.request_manager.test_eventing_form import with_broker
from tests.support.neighbours import answer_to
from tests.support.request_manager import Replica, Someone, Stage, service_headers
from tests.support.waiting import eventually

LETTERS = "/api/v1/dead-letters"
AGENT = EventBuilder(ServiceName.AGENT_SERVICE)
REFUSED = {
    "knativeerrordest": "http://agent-service.ns.svc/events",
    "knativeerrorcode": "422",
    "knativeerrordata": base64.b64encode(b"no such field").decode(),
}


def dead(event: CloudEvent, **extensions: str) -> CloudEvent:
    return event.model_copy(update={"extensions": event.extensions | (extensions or REFUSED)})


async def give_up(replica: Replica, event: CloudEvent, service: ServiceName = ServiceName.BROKER) -> httpx.Response:
    headers, body = event.to_binary()
    return await replica.client.post("/dead-letters", content=body, headers=headers | service_headers(service))


async def letters(replica: Replica, operator: Someone) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await replica.get(operator, LETTERS)).json()["items"]
    return items


async def first_published(published: list[CloudEvent]) -> CloudEvent:
    async def is_there() -> list[CloudEvent]:
        return published

    return (await eventually(is_there))[0]


async def test_a_dead_request_created_ends_the_request_and_the_person_is_told(database_url: str) -> None:
    async with with_broker(database_url) as (made, replica, published):
        ana = await made.person()
        request_id = (await replica.post(ana, "hello", integration_type="webhook"))["request_id"]
        event = await first_published(published)
        for _ in range(3):  # the broker may deliver a dead letter again
            reply = await give_up(replica, dead(event))
            assert (reply.status_code, reply.content) == (202, b"")
        result = (await replica.get(ana, f"/api/v1/requests/{request_id}/result", wait=20)).json()
        assert (result["status"], result["error"]["code"]) == ("failed", "handover_failed")

        async def told() -> bool:
            return [each.type for each in published] == [EventType.REQUEST_CREATED, EventType.RESPONSE_READY]

        await eventually(told)
        assert len({end.request.request_id for end in made.agents.ended}) == 1
        operator = await made.person("olivia", Role.OPERATOR)
        [letter] = await letters(replica, operator)
        assert (letter["kind"], letter["queue"], letter["request_id"]) == ("request", DEAD_EVENTS_QUEUE, request_id)
        assert letter["cause"] == "http://agent-service.ns.svc/events answered 422"
        shown = await replica.get(operator, f"{LETTERS}/{letter['id']}")
        assert shown.json()["facts"]["knativeerrordata"] == "no such field"
        assert "hello" not in shown.text


async def test_a_dead_letter_of_a_request_that_was_answered_meanwhile_changes_nothing(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    asked = (await replica.ask(ana)).json()
    event = EventBuilder(ServiceName.REQUEST_MANAGER).request_created(stage.agents.asked[0])
    assert (await give_up(replica, dead(event))).status_code == 202
    result = await replica.get(ana, f"/api/v1/requests/{asked['request_id']}/result")
    assert result.json() == asked
    assert stage.agents.ended == []


async def test_a_dead_answer_completes_the_request_from_the_event_itself(database_url: str) -> None:
    async with with_broker(database_url) as (made, replica, published):
        ana = await made.person()
        request_id = (await replica.post(ana))["request_id"]
        request = NormalizedRequest.model_validate((await first_published(published)).data)
        answer = AGENT.response_ready(answer_to(request, "late but there"))
        assert (await give_up(replica, dead(answer, knativeerrordest="http://rm/events"))).status_code == 202
        result = (await replica.get(ana, f"/api/v1/requests/{request_id}/result")).json()
        assert result["response"]["content"] == "late but there"
        operator = await made.person("olivia", Role.OPERATOR)
        [letter] = await letters(replica, operator)
        assert (letter["kind"], letter["cause"]) == ("event", "http://rm/events could not be reached")


async def test_a_replayed_event_goes_to_the_broker_as_it_was_first_sent(database_url: str) -> None:
    async with with_broker(database_url) as (made, replica, published):
        ana, operator = await made.person(), await made.person("olivia", Role.OPERATOR)
        await replica.post(ana)
        request = NormalizedRequest.model_validate((await first_published(published)).data)
        answer = AGENT.response_ready(answer_to(request))
        for destination in ("http://rm/events", "http://dispatcher/events"):
            await give_up(replica, dead(answer, knativeerrordest=destination, knativeerrorcode="500"))
        assert len(await letters(replica, operator)) == 2
        done = await replica.client.post(f"{LETTERS}/replay", json={"cause": "dispatcher"}, headers=operator.headers)
        assert len(done.json()["replayed"]) == 1

        async def sent() -> bool:
            return len(published) == 2

        await eventually(sent)
        assert published[1] == answer

        async def left() -> bool:
            return [each["cause"] for each in await letters(replica, operator)] == ["http://rm/events answered 500"]

        await eventually(left)


async def test_a_dead_request_that_has_ended_is_asked_again_by_its_replay(database_url: str) -> None:
    async with with_broker(database_url) as (made, replica, published):
        ana, operator = await made.person(), await made.person("olivia", Role.OPERATOR)
        request_id = (await replica.post(ana))["request_id"]
        await give_up(replica, dead(await first_published(published)))
        await replica.get(ana, f"/api/v1/requests/{request_id}/result", wait=20)
        [letter] = await letters(replica, operator)
        reply = await replica.client.post(f"{LETTERS}/{letter['id']}/replay", headers=operator.headers)
        again = reply.json()["request_id"]

        async def sent() -> bool:
            ids = [event.extensions["requestid"] for event in published if event.type == EventType.REQUEST_CREATED]
            return ids == [request_id, again]

        await eventually(sent)
        assert await letters(replica, operator) == []


async def test_without_a_broker_a_replayed_event_is_taken_here_and_passed_on(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.holds = True
    operator = await stage.person("olivia", Role.OPERATOR)
    request_id = (await replica.post(ana, integration_type="webhook"))["request_id"]

    async def asked() -> bool:
        return len(stage.agents.asked) == 1

    await eventually(asked)
    await give_up(replica, dead(AGENT.response_ready(answer_to(stage.agents.asked[0], "from the event"))))
    result = (await replica.get(ana, f"/api/v1/requests/{request_id}/result")).json()
    assert result["response"]["content"] == "from the event"
    [letter] = await letters(replica, operator)
    await replica.client.post(f"{LETTERS}/{letter['id']}/replay", headers=operator.headers)

    async def told() -> bool:
        return [answer.request_id for answer in stage.dispatcher.told] == [UUID(request_id)]

    await eventually(told)
    stage.agents.finish_all()


@pytest.mark.parametrize("kind", [EventType.REQUEST_CREATED, EventType.RESPONSE_READY, EventType.DELIVERY_FAILED])
async def test_an_event_about_nothing_that_is_known_is_kept_and_changes_nothing(
    stage: Stage, replica: Replica, kind: EventType
) -> None:
    event = CloudEvent(id="1", source="/x", type=kind, extensions={"requestid": str(new_id())}, data={"a": 1})
    assert (await give_up(replica, dead(event))).status_code == 202
    operator = await stage.person("olivia", Role.OPERATOR)
    [letter] = await letters(replica, operator)
    assert letter["queue"] == DEAD_EVENTS_QUEUE
    assert stage.agents.ended == []


async def test_what_cannot_be_read_is_refused_and_kept_and_only_the_broker_gets_in(
    stage: Stage, replica: Replica
) -> None:
    event = CloudEvent(id="1", source="/x", type="t")
    for service in (ServiceName.AGENT_SERVICE, ServiceName.INTEGRATION_DISPATCHER):
        assert (await give_up(replica, event, service)).status_code == 403
    reply = await replica.client.post("/dead-letters", content=b"{", headers=service_headers(ServiceName.BROKER))
    assert (reply.status_code, reply.content) == (400, b"")
    operator = await stage.person("olivia", Role.OPERATOR)
    assert [letter["queue"] for letter in await letters(replica, operator)] == ["request-manager.refused"]


async def test_when_it_cannot_be_kept_it_is_to_be_sent_again(replica: Replica) -> None:
    await replica.parts.database.close()
    reply = await give_up(replica, dead(CloudEvent(id="1", source="/x", type=EventType.REQUEST_CREATED)))
    assert (reply.status_code, reply.content) == (503, b"")
