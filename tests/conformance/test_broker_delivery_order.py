"""Ordered triggers: one delivery under way per partition key, through its retries; other keys and triggers go on."""

from starlette.responses import Response

from tests.conformance.conftest import Start
from tests.support.broker import ORDERED, Received, Receiver, Script, answers, broker, trigger

DELIVERY = {"retry": 8, "backoffPolicy": "exponential", "backoffDelay": "PT0.01S", "timeout": "PT30S"}


def of_key(receiver: Receiver, path: str, key: str) -> list[str]:
    return [received.id for received in receiver.at(path) if received.headers["ce-partitionkey"] == key]


async def test_one_key_stays_in_order_while_its_subscriber_fails_and_recovers(start: Start, receiver: Receiver) -> None:
    receiver.scripts["/in"] = answers(503, 500, 429)
    async with start([broker(), trigger("t", "/in", delivery=DELIVERY, annotations=ORDERED)]) as running:
        ids = [await running.send(partitionkey="k") for _ in range(10)]
        await running.idle()
    assert receiver.ids("/in") == [event_id for event_id in ids for _ in range(4)]


async def test_other_keys_are_not_held_up_by_one_that_waits(start: Start, receiver: Receiver) -> None:
    slow = {**DELIVERY, "backoffDelay": "PT60S"}
    receiver.scripts["/in"] = _fail_key("stuck")
    async with start([broker(), trigger("t", "/in", delivery=slow, annotations=ORDERED)]) as running:
        await running.send(partitionkey="stuck")
        ids = [await running.send(partitionkey="k") for _ in range(5)]
        await receiver.wait_for(6, "/in")
        await running.send(partitionkey="stuck")
        await running.send(partitionkey="k", id="last")
        await receiver.wait_for(7, "/in")
    assert of_key(receiver, "/in", "k") == [*ids, "last"]
    assert len(of_key(receiver, "/in", "stuck")) == 1


async def test_other_triggers_are_not_held_up(start: Start, receiver: Receiver) -> None:
    slow = {**DELIVERY, "backoffDelay": "PT60S"}
    receiver.scripts["/stuck"] = _fail_key("k")
    triggers = [trigger(name, f"/{name}", delivery=slow, annotations=ORDERED) for name in ("stuck", "free")]
    async with start([broker(), *triggers]) as running:
        ids = [await running.send(partitionkey="k") for _ in range(5)]
        await receiver.wait_for(5, "/free")
    assert of_key(receiver, "/free", "k") == ids
    assert len(receiver.at("/stuck")) == 1


async def test_an_unordered_trigger_does_not_wait(start: Start, receiver: Receiver) -> None:
    slow = {**DELIVERY, "backoffDelay": "PT60S"}
    receiver.scripts["/in"] = _fail_first()
    async with start([broker(), trigger("t", "/in", delivery=slow)]) as running:
        ids = [await running.send(partitionkey="k") for _ in range(5)]
        await receiver.wait_for(5, "/in")
    assert set(receiver.ids("/in")) == set(ids)


async def test_only_one_delivery_of_a_key_is_under_way(start: Start, receiver: Receiver) -> None:
    receiver.released.clear()
    async with start([broker(), trigger("t", "/in", delivery=DELIVERY, annotations=ORDERED)]) as running:
        for key in ("a", "b"):
            for _ in range(3):
                await running.send(partitionkey=key)
        await receiver.wait_for(2, "/in")
        assert {received.headers["ce-partitionkey"] for received in receiver.at("/in")} == {"a", "b"}
        assert len(receiver.at("/in")) == 2
        receiver.released.set()
        await running.idle()
    assert len(receiver.at("/in")) == 6


def _fail_key(key: str) -> Script:
    failing, taking = answers(then=503), answers()

    def answer(received: Received) -> Response:
        return (failing if received.headers["ce-partitionkey"] == key else taking)(received)

    return answer


def _fail_first() -> Script:
    seen: list[Received] = []

    def answer(received: Received) -> Response:
        seen.append(received)
        return Response(status_code=503 if len(seen) == 1 else 202)

    return answer
