"""`POST /events` of every service, as a broker meets it: strict, with empty answers, and safe to repeat.

RECEIVER_URL runs these against any receiver; see docs/conformance.md."""

import asyncio
import time
from collections.abc import AsyncIterator

import jwt
import pytest
from shared_models.enums import ServiceName
from shared_models.tokens import ServiceTokens

from tests.support.event_cases import Sent, bad_events, binary, structured
from tests.support.receivers import RECEIVER_URL, TARGETS, Target, given_target

TOO_LARGE_BYTES = 1024 * 1024
COPIES = 20


async def _given() -> AsyncIterator[Target]:
    async with given_target() as target:
        yield target


async def _service(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Target]:
    async with TARGETS[request.param](database_url) as target:
        yield target


if RECEIVER_URL:
    target = pytest.fixture(_given, name="target")
else:
    target = pytest.fixture(_service, params=list(TARGETS), name="target")


async def effects_of(target: Target) -> int:
    return await target.effects() if target.effects is not None else 0


async def test_a_valid_event_is_taken_in_both_content_modes_with_an_empty_202(target: Target) -> None:
    event = target.new_event()
    shapes = {
        "binary": binary(event.attributes, event.data.encode()),
        "binary with a charset": binary(event.attributes, event.data.encode(), "application/json; charset=utf-8"),
        "structured": structured(event.attributes, event.data),
    }
    for name, sent in shapes.items():
        reply = await target.post(sent)
        assert (reply.status_code, reply.content) == (202, b""), name


async def test_an_event_of_version_0_3_is_taken(target: Target) -> None:
    event = target.new_event()
    old = event.attributes | {"specversion": "0.3"}
    for sent in (binary(old, event.data.encode()), structured(old, event.data)):
        reply = await target.post(sent)
        assert (reply.status_code, reply.content) == (202, b"")


async def test_every_malformed_event_is_refused_with_an_empty_400_and_has_no_effect(target: Target) -> None:
    event = target.new_event()
    before = await effects_of(target)
    cases = [
        *bad_events(event.attributes, event.data),
        Sent(
            "a type that nobody knows", *binary(event.attributes | {"type": "com.example.unknown"}, event.data.encode())
        ),
        Sent(
            "a source that does not send this type",
            *binary(event.attributes | {"source": "/elsewhere"}, event.data.encode()),
        ),
        Sent("data that is no JSON", *binary(event.attributes, b"{")),
        Sent("data of another shape", *binary(event.attributes, b"[]")),
        Sent("no data", *binary(event.attributes, b"")),
        Sent("another request than the data says", *binary(event.attributes | {"requestid": "1"}, event.data.encode())),
        Sent("another key than the data says", *structured(event.attributes | {"partitionkey": "1"}, event.data)),
        Sent("larger than 1 MiB", *binary(event.attributes, _padded(event.data, TOO_LARGE_BYTES + 1))),
    ]
    found = {}
    for sent in cases:
        reply = await target.post((sent.headers, sent.body))
        found[sent.name] = (reply.status_code, reply.content)
    assert found == {sent.name: (400, b"") for sent in cases}
    assert await effects_of(target) == before


async def test_an_event_just_below_1_mib_is_read(target: Target) -> None:
    event = target.new_event()
    reply = await target.post(binary(event.attributes, _padded(event.data, TOO_LARGE_BYTES - 1024)))
    assert (reply.status_code, reply.content) == (202, b"")


def _padded(data: str, size_bytes: int) -> bytes:
    """The same JSON with blanks in front."""
    return b" " * (size_bytes - len(data.encode())) + data.encode()


async def test_the_same_event_again_is_taken_again_and_has_one_effect(target: Target) -> None:
    event = target.new_event()
    before = await effects_of(target)
    sent = binary(event.attributes, event.data.encode())
    replies = await asyncio.gather(*(target.post(sent) for _ in range(COPIES)))
    assert {reply.status_code for reply in replies} <= {202, 503}
    assert {reply.content for reply in replies} == {b""}
    for _ in range(2):
        assert (await target.post(sent)).status_code == 202
    if target.effects is not None:
        assert await target.effects() == before + 1


async def test_other_methods_are_not_allowed(target: Target) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert (await target.http.request(method, target.path)).status_code == 405, method


async def test_only_the_broker_is_let_in(target: Target) -> None:
    if target.given_token:
        tokens = {"nonsense": "nonsense"}
    else:
        now = int(time.time())
        claims = {"sub": "broker", "aud": target.audience.value, "iat": now - 600}
        others = [name for name in ServiceName if name is not target.audience]
        tokens = {
            "nonsense": "nonsense",
            "wrong audience": ServiceTokens(target.key, ServiceName.BROKER).make(others[0]),
            "bad signature": ServiceTokens("x" * 40, ServiceName.BROKER).make(target.audience),
            "expired": jwt.encode({**claims, "exp": now - 300}, target.key, "HS256"),
            "unsigned": jwt.encode({**claims, "exp": now + 300}, "", "none"),
        }
    event = target.new_event()
    before = await effects_of(target)
    for name, token in {"none": "", **tokens}.items():
        reply = await target.post(binary(event.attributes, event.data.encode()), token)
        assert (reply.status_code, reply.content) == (401, b""), name
    assert await effects_of(target) == before
