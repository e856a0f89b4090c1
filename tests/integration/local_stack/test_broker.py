"""The local broker: what it takes is durable, and it is delivered in order, again after failures, and after a restart."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from local_stack.broker.subscription import MAX_HELD
from shared_models.ids import new_id

from tests.support.broker import (
    ORDERED,
    PATH,
    Receiver,
    answers,
    broker,
    event_attributes,
    exact,
    running_broker,
    running_receiver,
    trigger,
)
from tests.support.database import run_sql

FAST = {"retry": 5, "backoffPolicy": "exponential", "backoffDelay": "PT0.01S", "timeout": "PT60S"}
MANY, KEYS = MAX_HELD + 400, 20


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


async def test_an_event_goes_to_each_trigger_that_matches(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    objects = [
        broker(),
        trigger("one", "/one", filters=[exact(type="a")]),
        trigger("two", "/two", filters=[exact(type="a")]),
        trigger("other", "/other", filters=[exact(type="b")]),
    ]
    async with running_broker(empty_database_url, tmp_path, objects, receiver) as running:
        event_id = await running.send(type="a")
        await running.idle()
        assert (receiver.ids("/one"), receiver.ids("/two"), receiver.ids("/other")) == ([event_id], [event_id], [])
        assert running.broker.received == {"a": 1}


async def test_events_of_one_key_wait_for_each_other_and_of_other_keys_do_not(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.scripts["/in"] = answers(503, 503, 503)
    objects = [broker(), trigger("t", "/in", delivery=FAST, annotations=ORDERED)]
    async with running_broker(empty_database_url, tmp_path, objects, receiver) as running:
        sent: dict[str, list[str]] = {"a": [], "b": []}
        for _ in range(10):
            for key, ids in sent.items():
                ids.append(await running.send(partitionkey=key))
        await running.idle()
        for key, ids in sent.items():
            of_key = [each.id for each in receiver.at("/in") if each.headers["ce-partitionkey"] == key]
            assert of_key == [event_id for event_id in ids for _ in range(4)]


async def test_what_was_taken_is_delivered_by_the_next_broker(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.released.clear()
    objects = [broker(), trigger("t", "/in", delivery=FAST, annotations=ORDERED), trigger("u", "/too")]
    async with running_broker(empty_database_url, tmp_path, objects, receiver) as running:
        ids = [await running.send(partitionkey="k") for _ in range(5)]
        await receiver.wait_for(1, "/in")
    before = len(receiver.at("/in"))
    receiver.released.set()
    async with running_broker(empty_database_url, tmp_path, objects, receiver) as running:
        await running.idle()
        assert receiver.ids("/in")[before:] == ids
        assert set(receiver.ids("/too")) == set(ids)


async def test_thousands_of_waiting_events_are_held_in_portions_and_delivered_in_order(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.released.clear()
    objects = [broker(), trigger("t", "/in", delivery=FAST | {"timeout": "PT600S"}, annotations=ORDERED)]
    numbers = [f"{number:04}" for number in range(MANY // KEYS)]
    async with running_broker(empty_database_url, tmp_path, objects, receiver) as running:

        async def send_all(key: str) -> None:
            for number in numbers:
                await running.send(id=f"{key}-{number}", partitionkey=key)

        keys = [str(new_id()) for _ in range(KEYS)]
        await asyncio.gather(*(send_all(key) for key in keys))
        assert running.broker.held <= MAX_HELD
        receiver.released.set()
        await running.idle()
        for key in keys:
            of_key = [each.id for each in receiver.at("/in") if each.headers["ce-partitionkey"] == key]
            assert of_key == [f"{key}-{number}" for number in numbers]


async def test_a_row_whose_commit_was_never_confirmed_is_delivered_all_the_same(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """The connection broke after the commit: the sender hears 503 and sends again, but the row is there."""
    objects = [broker(), trigger("t", "/in", delivery=FAST, annotations=ORDERED)]
    async with running_broker(empty_database_url, tmp_path, objects, receiver) as running:
        await running.send(id="first", partitionkey="k")
        await running.idle()
        attributes = event_attributes(id="unconfirmed", partitionkey="k")
        row = f"(2, '{PATH}', '{{t}}', '{json.dumps(attributes)}', '{{}}')"
        run_sql(empty_database_url, f"insert into local_broker.events values {row}")
        again = {f"ce-{name}": value for name, value in attributes.items()}
        assert (await running.post(again, b"{}")).status_code == 503
        assert (await running.post(again, b"{}")).status_code == 202
        await running.send(id="last", partitionkey="k")
        await running.idle()
    assert receiver.ids("/in") == ["first", "unconfirmed", "unconfirmed", "last"]
