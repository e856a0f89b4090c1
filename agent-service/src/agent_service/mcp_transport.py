"""One POST per MCP message, over the process's own HTTP client, under the SDK's `ClientSession`.

The SDK's HTTP transport wants a task group and an HTTP client of its own per server, and has no place for a token per
call; as a `Dispatcher` the same session needs neither. Source: MCP 2026-07-28 and 2025-11-25, Streamable HTTP."""

import asyncio
import itertools
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import anyio.abc
import httpx
import orjson
from mcp.shared.dispatcher import CallOptions, OnNotify, OnNotifyIntercept, OnRequest
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, METHOD_NOT_FOUND
from shared_clients.stream import read_events
from shared_models.errors import UpstreamUnavailable
from shared_models.telemetry import current_traceparent

MAX_REPLY_BYTES = 4 * 1024 * 1024
CONNECT_TIMEOUT_S = 5.0
DEFAULT_TIMEOUT_S = 10.0
SESSION_HEADER = "mcp-session-id"
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}

call_headers: ContextVar[Mapping[str, str]] = ContextVar("mcp_call_headers")
"""Headers of the call under way, its token above all. Set by whoever calls the session."""


class ServerUnreachable(Exception):
    """No answer that could be read. `was_cut`: the connection broke, so the call may or may not have arrived."""

    def __init__(self, reason: str, *, was_cut: bool = False) -> None:
        super().__init__(reason)
        self.was_cut = was_cut


class ServerRefused(Exception):
    """The server did not accept our token."""


class SessionLost(Exception):
    """A server of the older kind has forgotten our session: connect again."""


class HttpDispatcher:
    """What `ClientSession` sends its messages through. Nothing comes in but the answers."""

    def __init__(self, http: httpx.AsyncClient, url: str, *, max_reply_bytes: int = MAX_REPLY_BYTES) -> None:
        self._http = http
        self._url = url
        self._max_reply_bytes = max_reply_bytes
        self._ids = itertools.count(1)
        self._session_id = ""

    def forget_session(self) -> None:
        """The next message begins anew with a server of the older kind."""
        self._session_id = ""

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """There is no channel on which a server could send us anything by itself."""
        task_status.started()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Return the result. Raises MCPError (the server said no), ServerUnreachable, ServerRefused, SessionLost, TimeoutError."""
        options = opts or {}
        request_id = next(self._ids)
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}}
        async with asyncio.timeout(options.get("timeout", DEFAULT_TIMEOUT_S)):
            answer = await self._post(message, options.get("headers", {}), request_id)
        if isinstance(answer.get("result"), dict):
            result: dict[str, Any] = answer["result"]
            return result
        raise _mcp_error(answer)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        async with asyncio.timeout(DEFAULT_TIMEOUT_S):
            await self._post(message, (opts or {}).get("headers", {}), None)

    async def _post(
        self, message: Mapping[str, Any], headers: Mapping[str, str], request_id: int | None
    ) -> dict[str, Any]:
        """The answer to this message; an empty object for a notification."""
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)  # the whole exchange has a clock already
        sent = self._headers(headers)
        try:
            async with self._http.stream(
                "POST", self._url, content=orjson.dumps(message), headers=sent, timeout=timeout
            ) as reply:
                if message["method"] == "initialize":
                    self._session_id = reply.headers.get(SESSION_HEADER, "")
                if request_id is None and reply.is_success:
                    return {}
                return await self._answer(reply, request_id)
        except (httpx.TransportError, UpstreamUnavailable) as exc:
            raise ServerUnreachable(f"{exc!r}"[:200], was_cut=True) from exc

    def _headers(self, given: Mapping[str, str]) -> dict[str, str]:
        headers = {**ACCEPT, **given, **call_headers.get()}
        if self._session_id:
            headers[SESSION_HEADER] = self._session_id
        traceparent = current_traceparent()
        if traceparent:
            headers["traceparent"] = traceparent
        return headers

    async def _answer(self, reply: httpx.Response, request_id: int | None) -> dict[str, Any]:
        status = reply.status_code
        if status in (401, 403):
            raise ServerRefused(f"status {status}")
        if status == 404 and self._session_id:
            raise SessionLost
        if status == 429 or status >= 500:
            raise ServerUnreachable(f"status {status}")
        kind = reply.headers.get("content-type", "")
        if reply.is_success and kind.startswith("text/event-stream"):
            return await self._from_stream(reply, request_id)
        answer = _json_object(await self._read(reply))
        if answer is not None and ("error" in answer or reply.is_success):
            return answer
        if reply.is_success:
            raise ServerUnreachable("its answer is no JSON-RPC message")
        return {"error": {"code": METHOD_NOT_FOUND, "message": f"status {status}"}}

    async def _from_stream(self, reply: httpx.Response, request_id: int | None) -> dict[str, Any]:
        """The first message of the stream that answers ours; progress and log messages are passed over."""
        size = 0
        async for event in read_events(reply):
            size += len(event.data)
            if size > self._max_reply_bytes:
                break
            answer = _json_object(event.data)
            if answer is not None and answer.get("id") == request_id and ("result" in answer or "error" in answer):
                return answer
        raise ServerUnreachable("its stream ended without an answer")

    async def _read(self, reply: httpx.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in reply.aiter_bytes():
            size += len(chunk)
            if size > self._max_reply_bytes:
                raise ServerUnreachable(f"its answer is larger than {self._max_reply_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


def _json_object(raw: bytes | str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _mcp_error(answer: Mapping[str, Any]) -> MCPError:
    error = answer.get("error")
    if not isinstance(error, dict):
        return MCPError(INTERNAL_ERROR, "neither a result nor an error")
    code, text = error.get("code"), error.get("message")
    return MCPError(
        code if isinstance(code, int) else INTERNAL_ERROR, text if isinstance(text, str) else "", error.get("data")
    )
