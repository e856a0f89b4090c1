"""The events of one request at all three services: in every order, again and again, late, and for the wrong session."""

import asyncio
from itertools import permutations
from typing import Any

import httpx
from shared_models.enums import DeliveryStatus, ServiceName
from shared_models.events import CloudEvent, EventBuilder, EventType
from shared_models.ids import new_id
from shared_models.schemas import DeliveryReport, NormalizedRequest, RequestProcessing

from tests.support.request_manager import Someone
from tests.support.trio import Trio, renamed, trio
from tests.support.waiting import eventually

AGENT = EventBuilder(ServiceName.AGENT_SERVICE)
DISPATCHER = EventBuilder(ServiceName.INTEGRATION_DISPATCHER)

ROWS = """
select r.status, r.response::text, r.error::text, r.deliveries::text, r.ended_at is not null as has_ended,
       a.state, a.answer #>> '{response,content}' as answer,
       (select jsonb_agg(jsonb_build_array(role, content) order by role) from session_messages m
        where m.request_id = r.request_id)::text as messages,
       (select jsonb_agg(jsonb_build_array(integration, part, status, body)) from delivery_logs d
        where d.request_id = r.request_id)::text as deliveries_made,
       (select count(*) from test_messages t join delivery_logs d on d.id = t.delivery_id
        where d.request_id = r.request_id) as messages_got
from request_logs r left join agent_runs a on a.request_id = r.request_id
where r.request_id = $1
"""


async def ask(services: Trio, someone: Someone) -> tuple[NormalizedRequest, CloudEvent]:
    """A request, and the event with which it leaves request-manager."""
    accepted = await services.post(someone, "Where is my laptop?", deliver_to=["test"])
    created = await services.sent(EventType.REQUEST_CREATED, accepted["request_id"])
    return NormalizedRequest.model_validate(created.data), created


def progress(request: NormalizedRequest) -> CloudEvent:
    told = {name: getattr(request, name) for name in ("request_id", "session_id", "person", "integration_type")}
    return AGENT.request_processing(RequestProcessing(**told, delivery=request.delivery))


def report(request: NormalizedRequest, status: DeliveryStatus) -> CloudEvent:
    told: dict[str, Any] = {"user_id": request.person.user_id, "delivery_id": new_id(), "integration": "test"}
    return DISPATCHER.delivery(
        DeliveryReport(request_id=request.request_id, session_id=request.session_id, status=status, **told)
    )


def ids(request: NormalizedRequest) -> tuple[str, str]:
    return str(request.request_id), str(request.session_id)


async def rows(services: Trio, request: NormalizedRequest) -> tuple[Any, ...]:
    [row] = await services.sql(ROWS, request.request_id)
    return tuple(row.values())


async def answered(services: Trio, created: CloudEvent) -> CloudEvent:
    """agent-service's answer to a request."""
    assert await services.deliver(created) == {202}
    return await services.sent(EventType.RESPONSE_READY, created.extensions["requestid"])


async def test_every_order_of_a_requests_events_gives_the_same_rows(database_url: str) -> None:
    async with trio(database_url) as services:
        ana = await services.person()
        first, created = await ask(services, ana)
        ready = await answered(services, created)

        async def play(order: tuple[int, ...]) -> NormalizedRequest:
            request, own_created = await ask(services, ana)
            changes = list(zip(ids(first), ids(request), strict=True))
            events = (
                own_created,
                progress(request),
                renamed(ready, changes),
                report(request, DeliveryStatus.FAILED),
                report(request, DeliveryStatus.DELIVERED),
            )
            for index in order:
                assert await services.deliver(events[index]) == {202}
            return request

        orders = list(permutations(range(5)))
        requests: list[NormalizedRequest] = []
        for start in range(0, len(orders), 12):
            requests += await asyncio.gather(*(play(order) for order in orders[start : start + 12]))
        await services.idle()
        seen = {await rows(services, request) for request in requests}
        assert len(requests) == 120
        assert len(seen) == 1, seen
        [row] = seen
        assert (row[0], row[5], row[-1]) == ("completed", "completed", 1)
        assert row[3] == '{"test": "delivered"}'


async def test_fifty_copies_of_each_event_at_once_have_one_effect(database_url: str) -> None:
    async with trio(database_url) as services:
        ana = await services.person()
        request, created = await ask(services, ana)
        copies = await asyncio.gather(*(services.deliver(created) for _ in range(50)))
        assert set().union(*copies) == {202}
        ready = await services.sent(EventType.RESPONSE_READY, str(request.request_id))
        copies = await asyncio.gather(*(services.deliver(event) for event in [ready, progress(request)] * 50))
        assert set().union(*copies) == {202}
        await services.idle()
        delivered = await services.sent(EventType.DELIVERY_SUCCEEDED, str(request.request_id))
        copies = await asyncio.gather(*(services.deliver(delivered) for _ in range(50)))
        assert set().union(*copies) == {202}
        assert len(services.model.seen) == 1
        assert len(services.broker.of(EventType.RESPONSE_READY)) == 1
        assert len(services.broker.of(EventType.DELIVERY_SUCCEEDED)) == 1
        row = await rows(services, request)
        assert (row[0], row[3], row[-1]) == ("completed", '{"test": "delivered"}', 1)
        assert await services.sql("select from work_items") == []


async def test_a_request_that_comes_after_its_deadline_expires_and_the_person_is_told(database_url: str) -> None:
    async with trio(database_url, request_deadline_hours=0.000001) as services:
        ana = await services.person()
        request, created = await ask(services, ana)
        ready = await answered(services, created)
        assert await services.deliver(ready) == {202}
        await services.idle()
        row = await rows(services, request)
        assert (row[0], row[5], row[-1]) == ("expired", "expired", 1)
        assert services.model.seen == []
        messages = (await services.get(ana, "/api/v1/users/me/test-messages"))["items"]
        assert "could not be answered within its time" in messages[0]["content"]


async def test_a_request_for_a_session_of_somebody_else_is_refused_kept_and_ended(database_url: str) -> None:
    async with trio(database_url) as services:
        ana, ben = await services.person("ana"), await services.person("ben")
        hers, created = await ask(services, ana)
        await answered(services, created)
        his, his_created = await ask(services, ben)
        forged = renamed(his_created, [(str(his.session_id), str(hers.session_id))])
        for _ in range(3):
            assert await services.deliver(forged) == {400}
        [letter] = await services.sql("select queue, last_error, payload from work_items where dead_at is not null")
        assert letter["queue"] == "agent-service.refused"
        assert "belongs to another person" in letter["last_error"]
        said = await services.sql("select content from session_messages where session_id = $1", hers.session_id)
        assert len(said) == 2
        assert await services.sql("select from agent_runs where request_id = $1", his.request_id) == []
        assert await services.give_up(forged, ServiceName.AGENT_SERVICE, 400) == 202
        told = await services.sent(EventType.RESPONSE_READY, str(his.request_id))
        assert await services.deliver(told) == {202}
        await services.idle()
        row = await rows(services, his)
        assert (row[0], row[5], row[-1]) == ("failed", "failed", 1)
        said = await services.sql("select content from session_messages where session_id = $1", hers.session_id)
        assert len(said) == 2
        assert len(services.model.seen) == 1


async def test_an_answer_to_a_request_that_has_ended_changes_nothing(database_url: str) -> None:
    async with trio(database_url) as services:
        ana = await services.person()
        request, created = await ask(services, ana)
        ready = await answered(services, created)
        path = f"/api/v1/requests/{request.request_id}/cancel"
        await services.http.post("http://rm.test" + path, headers=ana.headers)
        await services.idle()
        before = await rows(services, request)
        other = renamed(ready, [("Hello from the model.", "Something else.")])
        for event in (ready, other, progress(request)):
            assert await services.deliver(event) == {202}
        await services.idle()
        after = await rows(services, request)
        assert after[:7] == before[:7]
        assert after[-1] == 1
        assert (await services.result(ana, str(request.request_id)))["status"] == before[0]


async def test_events_of_a_request_that_nobody_knows_are_done_at_once(database_url: str) -> None:
    async with trio(database_url) as services:
        ana = await services.person()
        request, created = await ask(services, ana)
        ready = await answered(services, created)
        unknown = [(str(request.request_id), str(new_id()))]
        events = [ready, progress(request), *(report(request, status) for status in (DeliveryStatus.DELIVERED,))]
        for event in events:
            assert await services.send(renamed(event, unknown), ServiceName.REQUEST_MANAGER) == 202
        row = await rows(services, request)
        assert (row[0], row[3]) == ("accepted", "{}")


async def test_a_waiting_caller_is_woken_by_an_event_that_comes_to_another_replica(database_url: str) -> None:
    """Two request-managers: the person waits at one, the broker calls the other."""
    async with trio(database_url) as services, trio(database_url) as others:
        ana = await services.person()
        headers = {**ana.headers, "prefer": "wait=60"}
        url = "http://rm.test/api/v1/requests/generic"
        waiting = asyncio.create_task(services.http.post(url, json={"content": "hello"}, headers=headers))

        async def sent() -> list[CloudEvent]:
            return services.broker.of(EventType.REQUEST_CREATED)

        [created] = await eventually(sent)
        await others.deliver(created)

        async def told() -> list[CloudEvent]:
            return services.broker.of(EventType.RESPONSE_READY) + others.broker.of(EventType.RESPONSE_READY)

        [ready] = await eventually(told)
        assert not waiting.done()
        assert await others.send(ready, ServiceName.REQUEST_MANAGER) == 202
        reply = await waiting
        assert (reply.status_code, reply.json()["status"]) == (200, "completed")


async def test_an_answer_that_the_broker_will_not_carry_is_found_by_the_sweep(database_url: str) -> None:
    """The row stays for the operators; the request ends as it did at agent-service, and the person is told."""

    def too_large_for_agents(event: CloudEvent) -> httpx.Response:
        return httpx.Response(413 if event.source.endswith("agent-service") else 202)

    async with trio(database_url) as services:
        services.broker.answer = too_large_for_agents
        ana = await services.person()
        request, created = await ask(services, ana)
        assert await services.deliver(created) == {202}

        async def is_dead() -> bool:
            dead = await services.sql("select queue from work_items where dead_at is not null")
            return [row["queue"] for row in dead] == ["agent-service.events"]

        await eventually(is_dead)
        await services.sql("update request_logs set deadline_at = now()")
        await services.apps[ServiceName.REQUEST_MANAGER].state.parts.ends.sweep()
        ready = await services.sent(EventType.RESPONSE_READY, str(request.request_id))
        assert ready.source == "/self-service-agent/request-manager"
        assert await services.deliver(ready) == {202}
        await services.idle()
        row = await rows(services, request)
        assert (row[0], row[5], row[-1]) == ("completed", "completed", 1)
        assert await is_dead()
