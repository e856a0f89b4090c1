"""What a sender concludes from each answer of the place that its events go to."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from shared_clients.events import EventSinkClient, event_sink, retry_after_s, token_in
from shared_models.enums import ServiceName
from shared_models.errors import UpstreamRejected, UpstreamUnavailable
from shared_models.events import CloudEvent, parse_http
from shared_models.settings import ServiceSettings
from shared_models.tokens import ServiceTokens

KEY = "k" * 32
SINK = "http://broker.test/ns/default"
EVENT = CloudEvent(id="1", source="/s", type="t", datacontenttype="application/json", data={"a": 1})
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

type Answer = Callable[[httpx.Request], httpx.Response]


def sink(answer: Answer, token: str = "") -> EventSinkClient:
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True)
    return EventSinkClient(http, SINK, lambda: token)


def answers(status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    return lambda _request: httpx.Response(status, content=content, headers=headers)


async def test_a_taken_event_was_sent_as_it_is_with_the_token() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202)

    await sink(answer, token="secret").send(EVENT)
    [request] = seen
    assert (request.method, str(request.url), request.headers["authorization"]) == ("POST", SINK, "Bearer secret")
    assert parse_http(dict(request.headers), request.content) == EVENT


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_success_without_a_body_is_taken(status: int) -> None:
    await sink(answers(status)).send(EVENT)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_a_refusal_of_the_event_itself_is_final(status: int) -> None:
    with pytest.raises(UpstreamRejected) as refused:
        await sink(answers(status, b"why")).send(EVENT)
    assert refused.value.upstream_status == status


@pytest.mark.parametrize(
    "status", [300, 301, 302, 307, 308, 401, 402, 403, 404, 405, 408, 409, 410, 425, 429, 431, 500, 502, 503, 504, 599]
)
async def test_everything_else_may_work_later(status: int) -> None:
    with pytest.raises(UpstreamUnavailable, match=str(status)):
        await sink(answers(status, b"why", {"location": "http://elsewhere.test/"})).send(EVENT)


@pytest.mark.parametrize("content", [b"<html>Sign in</html>", b"{}", b"null", b" "])
async def test_a_success_with_a_body_is_no_brokers(content: bytes) -> None:
    with pytest.raises(UpstreamUnavailable, match="a proxy or a portal"):
        await sink(answers(200, content, {"content-type": "text/html"})).send(EVENT)


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
async def test_a_broken_connection_may_work_later(error: type[httpx.TransportError]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("no", request=request)

    with pytest.raises(UpstreamUnavailable, match=error.__name__):
        await sink(answer).send(EVENT)


async def test_a_sink_that_says_when_to_come_back_is_understood() -> None:
    for status in (429, 503):
        with pytest.raises(UpstreamUnavailable) as later:
            await sink(answers(status, headers={"retry-after": "7"})).send(EVENT)
        assert later.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("99999999999", 3600.0),
        (format_datetime(NOW.replace(minute=1), usegmt=True), 60.0),
        (format_datetime(NOW.replace(hour=11), usegmt=True), 0.0),
        (format_datetime(NOW.replace(year=2030), usegmt=True), 3600.0),
        ("Sun, 01 Nov 2026 12:01:00 -0000", 60.0),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("²", None),
        ("Sun, 01 Nov 2026 12:01:00 +99999999999999999999", None),
    ],
)
def test_the_time_to_come_back_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_s(httpx.Headers({b"retry-after": value.encode("latin-1")}), NOW) == seconds


def built(path: Path | None = None, *, eventing: bool = True) -> tuple[EventSinkClient, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202)

    given: dict[str, Any] = {"database_url": "postgresql://u@h/d", "service_token_key": KEY, "broker_token_file": path}
    given |= {"eventing_enabled": True, "broker_url": SINK} if eventing else {}
    settings = ServiceSettings.model_validate(given)
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return event_sink(http, settings, ServiceTokens(KEY, ServiceName.AGENT_SERVICE)), seen


@pytest.mark.parametrize(
    ("eventing", "listener", "url"),
    [
        (True, ServiceName.BROKER, SINK),
        (False, ServiceName.REQUEST_MANAGER, "http://127.0.0.1:8080/events"),
    ],
)
async def test_the_token_is_for_whoever_listens_there(eventing: bool, listener: ServiceName, url: str) -> None:
    client, seen = built(eventing=eventing)
    await client.send(EVENT)
    assert str(seen[0].url) == url
    token = seen[0].headers["authorization"].removeprefix("Bearer ")
    assert ServiceTokens(KEY, listener).verify(token).service is ServiceName.AGENT_SERVICE


async def test_a_token_in_a_file_is_read_for_each_event(tmp_path: Path) -> None:
    path = tmp_path / "token"
    client, seen = built(path)
    for token in ("first", "second\n"):
        path.write_text(token)
        await client.send(EVENT)
    assert [request.headers["authorization"] for request in seen] == ["Bearer first", "Bearer second"]


async def test_a_token_file_that_is_not_there_or_empty_means_later(tmp_path: Path) -> None:
    path = tmp_path / "token"
    client, seen = built(path)
    with pytest.raises(UpstreamUnavailable, match="BROKER_TOKEN_FILE"):
        await client.send(EVENT)
    for content in (b"", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(UpstreamUnavailable, match="BROKER_TOKEN_FILE"):
            token_in(path)
    assert seen == []
