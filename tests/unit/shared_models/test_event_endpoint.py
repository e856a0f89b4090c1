"""The one event endpoint: what it answers, always with an empty body, and what it keeps before it refuses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import httpx
import pytest
import structlog
from fastapi import FastAPI
from shared_models import dead_letters, event_endpoint, web
from shared_models.database import Database
from shared_models.enums import ServiceName
from shared_models.errors import (
    Conflict,
    InvalidRequest,
    MalformedBody,
    NotFound,
    ServiceError,
    Unavailable,
    UpstreamUnavailable,
)
from shared_models.event_access import EventAccess
from shared_models.event_endpoint import EventEndpoint, events_router
from shared_models.events import STRUCTURED, CloudEvent
from shared_models.health import Health
from shared_models.settings import ServiceSettings
from shared_models.telemetry import current_traceparent
from shared_models.tokens import ServiceTokens

KEY = "k" * 32
NAME = ServiceName.AGENT_SERVICE
EVENT = CloudEvent(id="1", source="/s", type="t", time=datetime.now(UTC), extensions={"requestid": "r"}, data={"a": 1})


def token() -> dict[str, str]:
    """Made when it is used: one made when the tests are collected would end before they are run."""
    return {"authorization": f"Bearer {ServiceTokens(KEY, ServiceName.BROKER).make(NAME)}"}


@dataclass
class Consumer:
    """Takes events, or raises; keeps dead letters, or fails to."""

    failure: Exception | None = None
    fails_times: int = 1_000_000
    keeping_fails: bool = False
    taken: list[CloudEvent] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    bound: dict[str, Any] = field(default_factory=dict)

    async def take(self, event: CloudEvent) -> None:
        self.bound = {"traceparent": current_traceparent(), **structlog.contextvars.get_contextvars()}
        if self.failure is not None and self.fails_times > 0:
            self.fails_times -= 1
            raise self.failure
        self.taken.append(event)

    async def keep(self, _database: Database, service: ServiceName, **letter: Any) -> None:
        if self.keeping_fails:
            raise Unavailable
        assert service is NAME
        self.kept.append(letter)


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Consumer:
    made = Consumer()
    monkeypatch.setattr(event_endpoint, "keep_refused", made.keep)
    return made


@pytest.fixture
async def client(consumer: Consumer) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(consumer, patience_s=0) as http:
        yield http


@asynccontextmanager
async def client_of(consumer: Consumer, *, patience_s: float) -> AsyncIterator[httpx.AsyncClient]:
    settings = ServiceSettings.model_validate({"database_url": "postgresql://u@h/d", "service_token_key": KEY})
    access = EventAccess(settings, ServiceTokens(KEY, NAME), httpx.AsyncClient())
    endpoint = EventEndpoint(NAME, cast("Database", None), access, consumer.take, patience_s)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.parts = SimpleNamespace(event_endpoint=endpoint)
        yield

    app = web.create_app(NAME, health=Health(NAME.value, {}), routers=[events_router()], lifespan=lifespan)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://as") as http:
        yield http


async def send(client: httpx.AsyncClient, **changed: Any) -> httpx.Response:
    headers, body = EVENT.to_binary()
    given = {"content": body, "headers": headers | token()} | changed
    reply = await client.post("/events", **given)
    assert reply.content == b"", reply.text
    return reply


async def test_a_good_event_is_taken_in_both_modes(client: httpx.AsyncClient, consumer: Consumer) -> None:
    assert (await send(client)).status_code == 202
    structured = {"content-type": STRUCTURED, **token()}
    assert (await send(client, content=EVENT.to_structured(), headers=structured)).status_code == 202
    assert [event.data for event in consumer.taken] == [{"a": 1}, {"a": 1}]
    assert consumer.kept == []


async def test_the_ids_and_the_trace_of_an_event_go_with_all_that_is_done_for_it(
    client: httpx.AsyncClient, consumer: Consumer
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    told = {"requestid": "r", "sessionid": "s", "traceparent": trace}
    headers, body = EVENT.model_copy(update={"extensions": told}).to_binary()
    await send(client, content=body, headers=headers | token())
    wanted = {"event_id": "1", "request_id": "r", "session_id": "s", "traceparent": trace}
    assert wanted.items() <= consumer.bound.items()


async def test_a_stranger_is_refused_before_anything_is_read_or_kept(
    client: httpx.AsyncClient, consumer: Consumer
) -> None:
    other = {"authorization": f"Bearer {ServiceTokens(KEY, ServiceName.INTEGRATION_DISPATCHER).make(NAME)}"}
    for headers, status in (({}, 401), ({"authorization": "Bearer nonsense"}, 401), (other, 403)):
        assert (await send(client, content=b"no event", headers=headers)).status_code == status
    assert (consumer.taken, consumer.kept) == ([], [])


@pytest.mark.parametrize("failure", [MalformedBody("no sense"), InvalidRequest(), NotFound(), Conflict()])
async def test_what_will_never_be_taken_is_kept_and_then_a_400(
    client: httpx.AsyncClient, consumer: Consumer, failure: ServiceError
) -> None:
    consumer.failure = failure
    assert (await send(client)).status_code == 400
    [letter] = consumer.kept
    assert letter["body"] == b'{"a":1}'
    assert letter["headers"]["ce-id"] == "1"
    assert letter["cause"] == str(failure)


async def test_what_no_column_can_hold_is_kept_and_then_a_400(client: httpx.AsyncClient, consumer: Consumer) -> None:
    consumer.failure = asyncpg.UntranslatableCharacterError("unsupported Unicode escape sequence")
    assert (await send(client)).status_code == 400
    assert "cannot be stored" in consumer.kept[0]["cause"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"\\ud800"'])
@pytest.mark.parametrize("kind", [STRUCTURED, "application/json", "application/cloudevents-batch+json", ""])
async def test_what_cannot_be_read_is_kept_and_then_a_400(
    client: httpx.AsyncClient, consumer: Consumer, content: bytes, kind: str
) -> None:
    assert (await send(client, content=content, headers={"content-type": kind, **token()})).status_code == 400
    assert [letter["body"] for letter in consumer.kept] == [content]


@pytest.mark.parametrize("name", ["ce-id", "ce-x", "content-type"])
async def test_an_attribute_that_is_given_twice_is_no_event(
    client: httpx.AsyncClient, consumer: Consumer, name: str
) -> None:
    headers, body = EVENT.to_binary()
    twice = [*(headers | token() | {name: "application/json"}).items(), (name, "application/json")]
    assert (await send(client, content=body, headers=twice)).status_code == 400
    assert "twice" in consumer.kept[0]["cause"]


async def test_a_letter_that_cannot_be_kept_is_not_refused_yet(client: httpx.AsyncClient, consumer: Consumer) -> None:
    consumer.keeping_fails = True
    assert (await send(client, content=b"{")).status_code == 503


async def test_a_database_that_is_back_in_a_moment_is_waited_for(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_endpoint, "LOOK_EVERY_S", 0.0)
    consumer.failure, consumer.fails_times = Unavailable(), 3
    async with client_of(consumer, patience_s=60) as client:
        assert (await send(client)).status_code == 202
    assert (len(consumer.taken), consumer.fails_times) == (1, 0)


@pytest.mark.parametrize("failure", [Unavailable(), UpstreamUnavailable(), ServiceError(), RuntimeError("a bug")])
async def test_what_may_work_later_is_a_503_and_nothing_is_kept(
    client: httpx.AsyncClient, consumer: Consumer, failure: Exception
) -> None:
    consumer.failure = failure
    reply = await send(client)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")
    assert consumer.kept == []


async def test_more_than_a_mebibyte_is_a_400_whether_or_not_it_says_so(
    client: httpx.AsyncClient, consumer: Consumer
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"x" * 65_536

    headers = EVENT.to_binary()[0] | token()
    assert (await send(client, content=b"x" * 17 * 65_536)).status_code == 400
    assert (await send(client, content=chunks(), headers=headers)).status_code == 400
    assert [letter["body"] for letter in consumer.kept] == [None, None]
    declared, chunked = (dead_letters.letter(letter["headers"], letter["body"]) for letter in consumer.kept)
    assert (declared["size_bytes"], chunked["size_bytes"]) == (17 * 65_536, None)


async def test_other_methods_are_not_there(client: httpx.AsyncClient) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert (await client.request(method, "/events", headers=token())).status_code == 405
