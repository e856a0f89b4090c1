"""Answers with a body: an event is sent on, anything else is a failed delivery for the Kafka broker."""

import asyncpg
import pytest
from local_stack.broker.manifests import Mode
from shared_models.database import asyncpg_url
from starlette.responses import JSONResponse, Response

from tests.conformance.conftest import Start
from tests.support.broker import Received, Receiver, Script, answers, broker, exact, ref, trigger
from tests.support.event_cases import attributes, binary, structured
from tests.support.waiting import eventually

DELIVERY = {"retry": 3, "backoffDelay": "PT0.01S", "timeout": "PT60S", "deadLetterSink": ref("/dead")}
ASKED = trigger("asked", "/asked", filters=[exact(type="asked")], delivery=DELIVERY)
ANSWERED = trigger("answered", "/answered", filters=[exact(type="answered")], delivery=DELIVERY)
OBJECTS = [broker(), ASKED, ANSWERED]
LONG = b"x" * 100_000


def reply_of(headers: dict[str, str], body: bytes, status: int = 200) -> Response:
    return Response(body, status, headers)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("shape", ["binary", "structured"])
async def test_a_reply_goes_to_the_trigger_that_matches_it(
    start: Start, receiver: Receiver, mode: Mode, shape: str
) -> None:
    answer = attributes(type="answered")
    made = binary(answer, LONG, "text/plain") if shape == "binary" else structured(answer)
    receiver.scripts["/asked"] = lambda _received: reply_of(*made)
    async with start(OBJECTS, mode) as running:
        await running.send(type="asked")
        await running.idle()
        assert running.broker.received == {"asked": 1, "answered": 1}
    [received] = receiver.at("/answered")
    assert (received.id, received.body) == (answer["id"], LONG if shape == "binary" else b'{"a":1}')
    assert receiver.at("/dead") == []


async def test_a_long_reply_travels_a_chain_of_two_triggers(start: Start, receiver: Receiver) -> None:
    receiver.scripts["/asked"] = lambda _received: reply_of(*binary(attributes(type="answered"), LONG, "text/plain"))
    receiver.scripts["/answered"] = lambda got: reply_of(*binary(attributes(type="last"), got.body, "text/plain"))
    last = trigger("last", "/last", filters=[exact(type="last")])
    async with start([*OBJECTS, last]) as running:
        await running.send(type="asked")
        await running.idle()
    assert [received.body for received in receiver.at("/last")] == [LONG]


async def test_a_reply_also_reaches_the_trigger_that_it_came_from(start: Start, receiver: Receiver) -> None:
    def once(received: Received) -> Response:
        is_first = received.headers["ce-type"] == "asked"
        return reply_of(*binary(attributes(type="answered"))) if is_first else Response(status_code=202)

    receiver.scripts["/all"] = once
    async with start([broker(), trigger("all", "/all")]) as running:
        await running.send(type="asked")
        await running.idle()
    assert [received.headers["ce-type"] for received in receiver.at("/all")] == ["asked", "answered"]


@pytest.mark.parametrize(("mode", "replies"), [(Mode.KAFKA, 1), (Mode.SPEC, 0)])
async def test_an_event_in_a_202_is_a_reply_for_kafka_and_none_by_the_specification(
    start: Start, receiver: Receiver, mode: Mode, replies: int
) -> None:
    receiver.scripts["/asked"] = lambda _received: reply_of(*binary(attributes(type="answered")), status=202)
    async with start(OBJECTS, mode) as running:
        await running.send(type="asked")
        await running.idle()
    assert (len(receiver.at("/asked")), len(receiver.at("/answered")), receiver.at("/dead")) == (1, replies, [])


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize(("mode", "dead"), [(Mode.KAFKA, 1), (Mode.SPEC, 0)])
async def test_a_2xx_with_a_foreign_body_is_a_dead_letter_for_kafka(
    start: Start, receiver: Receiver, status: int, mode: Mode, dead: int
) -> None:
    for path, body in (("/asked", {"status": "ok"}), ("/answered", None)):
        receiver.scripts[path] = _json(body, status)
    async with start(OBJECTS, mode) as running:
        await running.send(type="asked")
        await running.send(type="answered")
        await running.idle()
    assert (len(receiver.at("/asked")), len(receiver.at("/answered"))) == (1, 1)
    codes = [received.headers["ce-knativeerrorcode"] for received in receiver.at("/dead")]
    assert codes == [str(status)] * 2 * dead


def _json(body: object, status: int) -> Script:
    return lambda _received: JSONResponse(body, status)


async def test_a_malformed_reply_is_a_failed_delivery(start: Start, receiver: Receiver) -> None:
    headers, body = binary(attributes(type="answered"))
    del headers["ce-id"]
    receiver.scripts["/asked"] = lambda _received: reply_of(headers, body)
    async with start(OBJECTS) as running:
        event_id = await running.send(type="asked")
        await running.idle()
    assert receiver.ids("/asked") == [event_id]
    assert (receiver.ids("/dead"), receiver.at("/answered")) == ([event_id], [])


async def test_a_reply_that_cannot_be_stored_has_the_event_delivered_again(
    start: Start, receiver: Receiver, broker_database_url: str
) -> None:
    receiver.scripts["/asked"] = lambda _received: reply_of(*binary(attributes(type="answered")))
    receiver.released.clear()
    database = await asyncpg.connect(asyncpg_url(broker_database_url))
    delivery = {**DELIVERY, "retry": 20}
    asked = trigger("asked", "/asked", filters=[exact(type="asked")], delivery=delivery)
    async with start([broker(), asked, ANSWERED]) as running:
        event_id = await running.send(type="asked")
        await receiver.wait_for(1, "/asked")
        await database.execute("alter table local_broker.events rename to hidden")
        receiver.released.set()
        await receiver.wait_for(2, "/asked")
        await database.execute("alter table local_broker.hidden rename to events")
        await running.idle()
    await database.close()
    assert set(receiver.ids("/asked")) == {event_id}
    assert receiver.at("/answered") != []


async def test_the_dead_letter_sink_may_reply_as_well(start: Start, receiver: Receiver) -> None:
    receiver.scripts["/asked"] = answers(400)
    receiver.scripts["/dead"] = lambda _received: reply_of(*binary(attributes(type="answered")))
    async with start(OBJECTS) as running:
        await running.send(type="asked")
        await running.idle()
    assert len(receiver.at("/answered")) == 1


async def test_an_event_that_was_not_confirmed_comes_again(start: Start, receiver: Receiver) -> None:
    """At least once: the first answer is lost after the subscriber has done its work."""
    receiver.released.clear()
    delivery = {**DELIVERY, "timeout": "PT0.2S"}
    async with start([broker(), trigger("t", "/in", delivery=delivery)]) as running:
        event_id = await running.send()
        await receiver.wait_for(1, "/in")

        async def comes_again() -> bool:
            return len(receiver.at("/in")) > 1

        await eventually(comes_again)
        receiver.released.set()
        await running.idle()
    assert set(receiver.ids("/in")) == {event_id}
