"""The one way to call a neighbour: timeouts, bounded jittered retries, typed errors, trace and request id headers."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
import stamina
import structlog
from httpx_aiohttp import AiohttpTransport
from shared_models.errors import Refusal, UpstreamRejected, UpstreamUnavailable
from shared_models.telemetry import current_traceparent
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

from shared_clients.events import retry_after_s

TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
TRIES = 3
DEFAULT_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
MAX_PROBLEM_CHARS = 300
IDLE_S = 4.0
"""How long a connection may have been idle and be used again: less than the 5 s after which many servers (uvicorn, Node) close
it. One that is closed just as we send fails the call, and on a busy machine that moment is long."""
IDLE_AT_NEIGHBOURS_S = 60.0
"""Our own services keep theirs for 75 s."""

url_of = lru_cache(maxsize=256)(httpx.URL)
"""Parsing an address costs as much as the rest of building a request; the busy ones are always the same."""


NOTHING_MORE = (None, False, httpx.USE_CLIENT_DEFAULT)


class LeanClient(httpx.AsyncClient):
    """A client that only sends, unless a call asks for more (`auth`, `follow_redirects`).

    It keeps no cookies and has no hooks: httpx looks for all of these in every call, at half of what the call costs."""

    def __init__(self, transport: httpx.AsyncBaseTransport, timeout: httpx.Timeout) -> None:
        super().__init__(transport=transport, trust_env=False, follow_redirects=False, timeout=timeout)
        self._sender = transport

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        """Raises httpx.RequestError; RuntimeError once the client is closed."""
        if any(value not in NOTHING_MORE for value in options.values()):
            return await super().send(request, stream=stream, **options)
        if self.is_closed:
            raise RuntimeError("this client has been closed")
        try:
            response = await self._sender.handle_async_request(request)
        except httpx.RequestError as exc:
            exc.request = request
            raise
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response


def create_http(*, max_connections: int = 1024, idle_s: float = IDLE_S) -> httpx.AsyncClient:
    """The process's only client: httpx's interface over aiohttp's transport, a third of the CPU per call.

    `idle_s`: a connection that nobody has used for so long is not used again. No cookies, no proxy or netrc from the
    environment, no redirects."""

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=max_connections, keepalive_timeout=idle_s)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    timeout = httpx.Timeout(DEFAULT_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    return LeanClient(AiohttpTransport(client=session), timeout)


class ServiceClient:
    """Calls one service. `token` gives the bearer value for each call.

    Callees deduplicate by id, so repeating a call is safe; pass `tries=1` where it is not, or where waiting is the point."""

    def __init__(self, http: httpx.AsyncClient, base_url: str, token: Callable[[], str]) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._token = token

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        tries: int = TRIES,
    ) -> httpx.Response:
        """Return the reply (2xx, or 3xx unfollowed). `body` is JSON.

        Raises UpstreamUnavailable (no answer, 408, 425, 429, 5xx) and UpstreamRejected (the other 4xx)."""
        url = self._base_url + path
        sent = self._headers(headers, token, has_body=body is not None)
        timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S))
        if tries == 1:
            return await self._once(method, url, body, params, sent, timeout)
        async for attempt in stamina.retry_context(
            on=UpstreamUnavailable, attempts=tries, timeout=timeout_s * tries, wait_initial=0.05, wait_max=2.0
        ):
            with attempt:
                return await self._once(method, url, body, params, sent, timeout)
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def stream(
        self, path: str, *, headers: Mapping[str, str] | None = None, read_timeout_s: float = 60.0
    ) -> AsyncIterator[httpx.Response]:
        """GET a stream. A silence longer than `read_timeout_s` ends it. Raises as `call`."""
        sent = self._headers(headers, None, has_body=False)
        timeout = httpx.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S)
        try:
            async with self._http.stream("GET", self._base_url + path, headers=sent, timeout=timeout) as reply:
                if reply.is_error:
                    await reply.aread()
                    raise upstream_error(reply)
                yield reply
        except httpx.TransportError as exc:
            raise UpstreamUnavailable(f"GET {path}: {type(exc).__name__}") from exc

    async def _once(
        self,
        method: str,
        url: str,
        body: bytes | None,
        params: Mapping[str, str | int] | None,
        headers: dict[str, str],
        timeout: httpx.Timeout,
    ) -> httpx.Response:
        extensions = {"timeout": timeout.as_dict()}
        request = httpx.Request(
            method, url_of(url), content=body, params=params, headers=headers, extensions=extensions
        )
        try:
            reply = await self._http.send(request)
        except httpx.TransportError as exc:
            raise UpstreamUnavailable(f"{method} {url}: {type(exc).__name__}") from exc
        if reply.is_error:
            raise upstream_error(reply)
        return reply

    def _headers(self, given: Mapping[str, str] | None, token: str | None, *, has_body: bool) -> dict[str, str]:
        headers = {"authorization": f"Bearer {token if token is not None else self._token()}", **(given or {})}
        if has_body:
            headers.setdefault("content-type", "application/json")
        traceparent = current_traceparent()
        if traceparent:
            headers["traceparent"] = traceparent
        http_id = structlog.contextvars.get_contextvars().get("http_id")
        if http_id:
            headers["x-request-id"] = str(http_id)
        return headers


@contextmanager
def quiet_retries() -> Iterator[None]:
    """Retries inside are not logged: for programs whose output a person reads."""
    before = get_on_retry_hooks()
    set_on_retry_hooks(())
    try:
        yield
    finally:
        set_on_retry_hooks(before)


def upstream_error(reply: httpx.Response) -> UpstreamUnavailable | UpstreamRejected:
    """The typed error for a 4xx or 5xx reply; understands problem+json and Retry-After."""
    refusal = _refusal(reply)
    text = f"{reply.request.method} {reply.request.url.path}: {refusal.status} {refusal.message}".strip()
    if reply.status_code in TRANSIENT_STATUS:
        asked_s = retry_after_s(reply.headers, datetime.now(UTC))
        return UpstreamUnavailable(text, retry_after_s=asked_s, refusal=refusal)
    return UpstreamRejected(text, refusal=refusal)


def _refusal(reply: httpx.Response) -> Refusal:
    if not reply.headers.get("content-type", "").startswith("application/problem+json"):
        return Refusal(reply.status_code)
    try:
        body = reply.json()
    except ValueError:
        return Refusal(reply.status_code)
    if not isinstance(body, dict):
        return Refusal(reply.status_code)
    return Refusal(
        status=reply.status_code,
        code=str(body.get("code") or ""),
        message=str(body.get("detail") or body.get("title") or "")[:MAX_PROBLEM_CHARS],
        hint=str(body.get("hint") or "")[:MAX_PROBLEM_CHARS],
        request_id=str(body.get("request_id") or "")[:MAX_PROBLEM_CHARS],
    )
