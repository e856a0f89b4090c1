"""One call to ServiceNow's REST API: bounded in time and size, read strictly, every failure named.

Only reading is repeated here. What an unclear write means is for the backend to find out."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx

from servicenow_mcp.access import Access
from servicenow_mcp.answers import error_message, fault_of, json_of, retry_after_s
from servicenow_mcp.errors import BrokenOff, Busy, Down, Effect, NotAuthenticated, ServiceNowFault, TimedOut, Unusable

MAX_ANSWER_BYTES = 2 * 1024 * 1024
READ_ATTEMPTS = 3
FIRST_PAUSE_S = 0.2
JITTER = random.SystemRandom()
SAFE_HEADERS = {"accept": "application/json", "accept-encoding": "identity"}


@dataclass(frozen=True)
class Answer:
    """`result`: what ServiceNow puts under "result". `total`: the header X-Total-Count, if any."""

    result: Any
    total: int | None


@dataclass(frozen=True)
class RestClient:
    """`timeout_s` bounds one operation, with its repeats. `http` is shared and closed by its owner."""

    http: httpx.AsyncClient
    base_url: str
    access: Access
    timeout_s: float
    pause_s: float = FIRST_PAUSE_S

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a read; passing faults are repeated within the time. Raises ServiceNowFault."""
        try:
            async with asyncio.timeout(self.timeout_s) as limit:
                return await self._get(path, params or {}, limit)
        except TimeoutError as exc:
            raise TimedOut(f"GET {path}: nothing usable within {self.timeout_s:g} s") from exc

    async def write(self, method: str, path: str, body: Mapping[str, object]) -> Answer:
        """Send a write once. Raises ServiceNowFault; its `effect` says whether ServiceNow may have acted."""
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._authorized(method, path, {}, body)
        except TimeoutError as exc:
            cause = f"{method} {path}: no answer within {self.timeout_s:g} s"
            raise TimedOut(cause, effect=Effect.UNKNOWN) from exc

    async def _get(self, path: str, params: Mapping[str, str], limit: asyncio.Timeout) -> Answer:
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                return await self._authorized("GET", path, params, None)
            except ServiceNowFault as fault:
                pause_s = self._pause_s(fault, attempt)
                if not fault.is_passing or attempt == READ_ATTEMPTS or _ends_before(limit, pause_s):
                    raise
            await asyncio.sleep(pause_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _pause_s(self, fault: ServiceNowFault, attempt: int) -> float:
        """Full jitter on a doubling pause, or what ServiceNow asked for."""
        if isinstance(fault, Busy) and fault.retry_after_s is not None:
            return fault.retry_after_s
        return JITTER.uniform(0, self.pause_s * 2**attempt)

    async def _authorized(
        self, method: str, path: str, params: Mapping[str, str], body: Mapping[str, object] | None
    ) -> Answer:
        """Send one request; a 401 is tried once more when other credentials can be had."""
        try:
            return await self._once(method, path, params, body)
        except NotAuthenticated:
            if not self.access.refused():
                raise
        return await self._once(method, path, params, body)

    async def _once(
        self, method: str, path: str, params: Mapping[str, str], body: Mapping[str, object] | None
    ) -> Answer:
        headers = {**SAFE_HEADERS, **await self.access.headers(self._send_form)}
        request = self.http.build_request(
            method, self.base_url + path, params=params, json=body, headers=headers, timeout=self.timeout_s
        )
        reply = await self._bounded(request, f"{method} {path}")
        effect = Effect.NONE if method == "GET" else Effect.UNKNOWN
        if fault := fault_of(reply, f"{method} {path}", effect):
            raise fault
        payload = json_of(reply, f"{method} {path}", effect)
        if "result" not in payload:
            raise Unusable(f"{method} {path}: no result; {error_message(payload)}", effect=effect)
        total = reply.headers.get("x-total-count", "")
        return Answer(result=payload["result"], total=int(total) if total.isdecimal() else None)

    async def _send_form(self, url: str, form: dict[str, str]) -> httpx.Response:
        request = self.http.build_request("POST", url, data=form, headers=SAFE_HEADERS, timeout=self.timeout_s)
        reply = await self._bounded(request, "POST token")
        # Getting a token changes nothing, whatever happens.
        if reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise Busy("the token endpoint answered 429", retry_after_s(reply))
        if reply.is_server_error:
            raise Down(f"the token endpoint answered {reply.status_code}")
        return reply

    async def _bounded(self, request: httpx.Request, what: str) -> httpx.Response:
        """Send a request and read at most MAX_ANSWER_BYTES of its answer; redirects are not followed."""
        effect = Effect.NONE if request.method == "GET" else Effect.UNKNOWN
        try:
            reply = await self.http.send(request, stream=True, follow_redirects=False)
            try:
                content = bytearray()
                async for chunk in reply.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise Unusable(f"{what}: more than {MAX_ANSWER_BYTES} bytes", effect=effect)
            finally:
                await reply.aclose()
        except httpx.ReadTimeout as exc:
            raise TimedOut(f"{what}: {exc!r}", effect=effect) from exc
        except httpx.HTTPError as exc:
            if _was_never_sent(exc):
                raise Down(f"{what}: {exc!r}") from exc
            raise BrokenOff(f"{what}: {exc!r}", effect=effect) from exc
        return httpx.Response(reply.status_code, headers=_plain(reply.headers), content=bytes(content))


def _was_never_sent(exc: httpx.HTTPError) -> bool:
    """True when no connection was made. The aiohttp transport calls any lost connection ConnectTimeout: ask its cause."""
    return isinstance(exc, httpx.ConnectError) or isinstance(exc.__cause__, aiohttp.ClientConnectorError)


def _plain(headers: httpx.Headers) -> httpx.Headers:
    """Drop what describes the body on the wire: the body kept here is decoded already."""
    return httpx.Headers([(k, v) for k, v in headers.items() if k not in ("content-encoding", "content-length")])


def _ends_before(limit: asyncio.Timeout, pause_s: float) -> bool:
    """True when the time is up before the pause is over."""
    ends_at = limit.when()
    return ends_at is not None and asyncio.get_running_loop().time() + pause_s >= ends_at
