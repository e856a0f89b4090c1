"""What arrives is what was sent: attributes, version and every byte of the data, whatever the content mode."""

from urllib.parse import unquote

import httpx
import pytest
from local_stack.broker.manifests import Mode

from tests.conformance.conftest import Start
from tests.support.broker import PATH, Received, Receiver, RunningBroker, broker, trigger
from tests.support.event_cases import (
    ALL_DATA,
    JSON_IN_AN_EXTENSION,
    Data,
    attributes,
    binary,
    full_attributes,
    structured,
)

OBJECTS = [broker(), trigger("all", "/in")]
SIZE_BYTES = 36_864


async def arrived(running: RunningBroker, receiver: Receiver, sent: tuple[dict[str, str], bytes]) -> Received:
    reply = await running.post(*sent)
    assert reply.status_code == 202
    await running.idle()
    return receiver.at("/in")[-1]


def attributes_of(received: Received) -> dict[str, str]:
    return {name[3:]: unquote(value) for name, value in received.headers.items() if name.startswith("ce-")}


@pytest.mark.parametrize("mode", list(Mode))
async def test_data_arrives_byte_for_byte_from_both_content_modes(start: Start, receiver: Receiver, mode: Mode) -> None:
    async with start(OBJECTS, mode) as running:
        for data in ALL_DATA:
            event = attributes()
            as_binary = await arrived(running, receiver, binary(event, data.raw, data.content_type))
            as_structured = await arrived(
                running, receiver, structured(event | {"datacontenttype": data.content_type}, data.in_json)
            )
            for received in (as_binary, as_structured):
                assert (received.body, received.headers["content-type"]) == (data.raw, data.content_type), data.name
                assert attributes_of(received) == event, data.name


@pytest.mark.parametrize("version", ["0.3", "1.0"])
async def test_the_version_is_not_changed(start: Start, receiver: Receiver, version: str) -> None:
    async with start(OBJECTS) as running:
        for sent in (binary(attributes(version)), structured(attributes(version))):
            assert (await arrived(running, receiver, sent)).headers["ce-specversion"] == version


async def test_all_attributes_arrive_unchanged(start: Start, receiver: Receiver) -> None:
    event = full_attributes()
    async with start(OBJECTS) as running:
        for sent in (binary(event), structured(event)):
            received = await arrived(running, receiver, sent)
            assert attributes_of(received) == event
            assert received.headers["traceparent"] == event["traceparent"]


async def test_an_extension_may_hold_json_text(start: Start, receiver: Receiver) -> None:
    event = attributes(note=JSON_IN_AN_EXTENSION)
    async with start(OBJECTS) as running:
        received = await arrived(running, receiver, structured(event))
        assert attributes_of(received) == event
        assert not set(received.headers["ce-note"]) & {" ", '"'}


async def test_an_event_without_data_gets_neither_data_nor_a_type_of_it(start: Start, receiver: Receiver) -> None:
    event = attributes()
    async with start(OBJECTS) as running:
        headers = {f"ce-{name}": value for name, value in event.items()}
        headers["authorization"] = f"Bearer {running.token}"
        async with httpx.AsyncClient(timeout=60) as plain:  # the product's own client would name a type
            reply = await plain.post(running.url + PATH, headers=headers)
        assert reply.status_code == 202
        await running.idle()
        [received] = receiver.at("/in")
        assert (received.body, received.headers.get("content-type")) == (b"", None)


async def test_an_event_of_36864_bytes_arrives_exactly_as_sent(start: Start, receiver: Receiver) -> None:
    data = Data("large", "application/octet-stream", bytes(range(256)) * (SIZE_BYTES // 256), "")
    async with start(OBJECTS) as running:
        received = await arrived(running, receiver, binary(attributes(), data.raw, data.content_type))
        assert received.body == data.raw


async def test_a_delivery_asks_for_a_reply_and_names_the_namespace(start: Start, receiver: Receiver) -> None:
    async with start(OBJECTS) as running:
        received = await arrived(running, receiver, binary(attributes()))
        assert (received.headers["prefer"], received.headers["kn-namespace"]) == ("reply", "default")
