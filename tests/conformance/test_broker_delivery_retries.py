"""How often a broker tries, what it makes of each answer, and where an event goes that nobody takes."""

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Any

import pytest
from local_stack.broker.manifests import Mode
from local_stack.ports import free_port
from starlette.responses import Response

from tests.conformance.conftest import Start
from tests.support.broker import Received, Receiver, Script, answers, broker, ref, trigger

PAUSE_S = 0.01
BACKOFF = {"backoffPolicy": "exponential", "backoffDelay": f"PT{PAUSE_S}S", "timeout": "PT60S"}
SINK = {"deadLetterSink": ref("/dead")}
OTHER_SINK = {"deadLetterSink": ref("/dead-of-the-broker")}
FIBONACCI = {1, 2, 3, 5, 8, 13, 21, 34}


def retry(times: int, **more: Any) -> dict[str, Any]:
    return {"retry": times, **BACKOFF, **more}


@dataclass(frozen=True)
class Case:
    """`fails`: how many attempts the subscriber answers with 500."""

    name: str
    fails: int
    attempts: int
    dead: str = ""
    of_broker: dict[str, Any] | None = None
    of_trigger: dict[str, Any] | None = None
    modes: tuple[Mode, ...] = field(default=tuple(Mode))

    def __str__(self) -> str:
        return self.name


SETTINGS = [
    Case("none: one attempt", 1, 1),
    Case("broker retry 3, fails 3: taken at the 4th", 3, 4, of_broker=retry(3, **SINK)),
    Case("broker retry 3, fails 4: dead letter", 4, 4, "/dead", of_broker=retry(3, **SINK)),
    Case("trigger retry 3 and sink, fails 3: taken", 3, 4, of_trigger=retry(3, **SINK)),
    Case("trigger retry 1, no sink, fails 2: dropped", 2, 2, of_trigger=retry(1)),
    Case("both: the trigger's retries win", 2, 2, "/dead", retry(3, **OTHER_SINK), retry(1, **SINK)),
    Case("both: the trigger's sink wins", 1, 1, "/dead", {**OTHER_SINK}, {**SINK}),
    Case("kafka merges: the broker's sink stays", 2, 2, "/dead", retry(3, **SINK), retry(1), (Mode.KAFKA,)),
    Case("spec replaces: the broker's sink is gone", 2, 2, "", retry(3, **SINK), retry(1), (Mode.SPEC,)),
]


@pytest.mark.parametrize(
    ("case", "mode"),
    [pytest.param(case, mode, id=f"{case} ({mode})") for case in SETTINGS for mode in case.modes],
)
async def test_delivery_settings(start: Start, receiver: Receiver, case: Case, mode: Mode) -> None:
    receiver.scripts["/in"] = answers(*[500] * case.fails)
    async with start([broker(case.of_broker), trigger("t", "/in", delivery=case.of_trigger)], mode) as running:
        event_id = await running.send()
        await running.idle()
    assert receiver.ids("/in") == [event_id] * case.attempts
    dead = [received.path for received in receiver.received if received.path != "/in"]
    assert dead == ([case.dead] if case.dead else [])


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("mode", list(Mode))
async def test_these_answers_are_tried_again(start: Start, receiver: Receiver, status: int, mode: Mode) -> None:
    receiver.scripts["/in"] = answers(status)
    async with start([broker(), trigger("t", "/in", delivery=retry(1))], mode) as running:
        event_id = await running.send()
        await running.idle()
    assert receiver.ids("/in") == [event_id] * 2


async def test_these_answers_are_not_tried_again(start: Start, receiver: Receiver) -> None:
    statuses = (300, 301, 302, 304, 307, 400, 401, 403, 405, 410, 413, 418, 422, 425)
    triggers = [trigger(f"t{status}", f"/{status}", delivery=retry(3, **SINK)) for status in statuses]
    for status in statuses:
        receiver.scripts[f"/{status}"] = _redirecting(status)
    async with start([broker(), *triggers]) as running:
        event_id = await running.send()
        await running.idle()
    assert all(receiver.ids(f"/{status}") == [event_id] for status in statuses)
    codes = [received.headers["ce-knativeerrorcode"] for received in receiver.at("/dead")]
    assert sorted(codes) == sorted(map(str, statuses))
    assert receiver.at("/elsewhere") == []


def _redirecting(status: int) -> Script:
    return lambda _received: Response(status_code=status, headers={"location": "/elsewhere"})


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_silent_subscriber_is_tried_again(start: Start, receiver: Receiver, mode: Mode) -> None:
    receiver.released.clear()
    delivery = {**retry(8), "backoffPolicy": "linear", "timeout": "PT0.3S"}
    async with start([broker(), trigger("t", "/in", delivery=delivery)], mode) as running:
        event_id = await running.send()
        await receiver.wait_for(2, "/in")
        receiver.released.set()
        await running.idle()
    assert set(receiver.ids("/in")) == {event_id}


async def test_a_connection_that_breaks_is_tried_again(start: Start, receiver: Receiver) -> None:
    connections = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    breaking = trigger("t", "/in", delivery=retry(2, **SINK))
    breaking["spec"]["subscriber"] = {"uri": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/in"}
    async with server, start([broker(), breaking]) as running:
        await running.send()
        await running.idle()
    [dead] = receiver.at("/dead")
    assert (connections, set(_error_extensions(dead))) == (3, {"knativeerrordest"})


async def test_events_survive_a_subscriber_that_fails_each_fibonacci_numbered_attempt(
    start: Start, receiver: Receiver
) -> None:
    attempts = 0

    def fail_by_number(_received: Received) -> Response:
        nonlocal attempts
        attempts += 1
        return Response(status_code=500 if attempts in FIBONACCI else 202)

    receiver.scripts["/in"] = fail_by_number
    async with start([broker(), trigger("t", "/in", delivery=retry(5))]) as running:
        ids = [await running.send() for _ in range(20)]
        await running.idle()
        assert running.broker.counts["delivered"] == len(ids)
    assert set(receiver.ids("/in")) == set(ids)


async def test_the_first_five_attempts_fail_and_the_sixth_is_taken(start: Start, receiver: Receiver) -> None:
    receiver.scripts["/in"] = answers(*[503] * 5)
    async with start([broker(), trigger("t", "/in", delivery=retry(5, **SINK))]) as running:
        event_id = await running.send()
        await running.idle()
    assert (receiver.ids("/in"), receiver.at("/dead")) == ([event_id] * 6, [])


@pytest.mark.parametrize("policy", ["exponential", "linear"])
async def test_kafka_waits_twice_the_delay_first_and_ignores_retry_after(
    start: Start, receiver: Receiver, policy: str
) -> None:
    receiver.scripts["/in"] = _busy_for_an_hour
    delivery = {"retry": 2, "backoffPolicy": policy, "backoffDelay": "PT0.1S", "timeout": "PT60S"}
    async with start([broker(), trigger("t", "/in", delivery=delivery)]) as running:
        await running.send()
        await running.idle()
    first, second, third = [received.at_s for received in receiver.at("/in")]
    pauses = {"exponential": (0.2, 0.4), "linear": (0.1, 0.2)}[policy]
    assert second - first >= pauses[0]
    assert third - second >= pauses[1]


def _busy_for_an_hour(_received: Received) -> Response:
    return Response(status_code=429, headers={"retry-after": "3600"})


async def test_the_specification_honours_retry_after_up_to_its_limit(start: Start, receiver: Receiver) -> None:
    receiver.scripts["/in"] = _busy_for_an_hour
    delivery = {**retry(1), "retryAfterMax": "PT0.2S"}
    async with start([broker(), trigger("t", "/in", delivery=delivery)], Mode.SPEC) as running:
        await running.send()
        await running.idle()
    first, second = [received.at_s for received in receiver.at("/in")]
    assert second - first >= 0.2


# --- what a dead letter says


async def test_a_dead_letter_of_an_unreachable_subscriber_names_it_and_nothing_else(
    start: Start, receiver: Receiver
) -> None:
    url = f"http://127.0.0.1:{free_port()}/gone"
    unreachable = trigger("t", "/in", delivery=retry(1, **SINK))
    unreachable["spec"]["subscriber"] = {"uri": url}
    async with start([broker(), unreachable]) as running:
        event_id = await running.send()
        await running.idle()
    [dead] = receiver.at("/dead")
    assert (dead.id, dead.body) == (event_id, b"{}")
    assert _error_extensions(dead) == {"knativeerrordest": url}


@pytest.mark.parametrize("body", [b"", b"no such thing", b"x" * 3000, bytes(range(256))])
async def test_a_dead_letter_holds_status_and_the_beginning_of_the_answer(
    start: Start, receiver: Receiver, body: bytes
) -> None:
    receiver.scripts["/in"] = lambda _received: Response(body, 422)
    async with start([broker(), trigger("t", "/in", delivery=retry(3, **SINK))]) as running:
        await running.send()
        await running.idle()
    [dead] = receiver.at("/dead")
    expected = {"knativeerrordest": receiver.url + "/in", "knativeerrorcode": "422"}
    if body:
        expected["knativeerrordata"] = base64.b64encode(body[:1024]).decode()
    assert _error_extensions(dead) == expected


async def test_headers_of_the_answer_become_extensions_of_the_dead_letter(start: Start, receiver: Receiver) -> None:
    receiver.scripts["/in"] = lambda _received: Response(status_code=400, headers={"Kne-Reason": "bad", "x-other": "1"})
    async with start([broker(), trigger("t", "/in", delivery=SINK)]) as running:
        await running.send()
        await running.idle()
    [dead] = receiver.at("/dead")
    assert dead.headers["ce-reason"] == "bad"
    assert "ce-other" not in dead.headers


async def test_a_sink_is_tried_as_often_as_the_subscriber_and_then_the_event_is_dropped(
    start: Start, receiver: Receiver
) -> None:
    receiver.scripts["/in"] = lambda _received: Response(status_code=503)
    receiver.scripts["/dead"] = lambda _received: Response(status_code=503)
    async with start([broker(), trigger("t", "/in", delivery=retry(2, **SINK))]) as running:
        await running.send()
        await running.idle()
        assert running.broker.counts["dropped"] == 1
    assert (len(receiver.at("/in")), len(receiver.at("/dead"))) == (3, 3)


def _error_extensions(dead: Received) -> dict[str, str]:
    return {name[3:]: value for name, value in dead.headers.items() if name.startswith("ce-knativeerror")}
