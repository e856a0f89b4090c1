"""A model server that follows a script: the Responses and Conversations API on a real socket, in the test's own loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

type Json = dict[str, Any]
type Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]

USAGE = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}


@dataclass
class ScriptedResponses:
    """`replies` are played one per call, the last one for ever. `seen` holds (path, headers, body) of each call."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def plays(self, *replies: Reply) -> None:
        self.replies[:] = replies

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((request.path, headers, orjson.loads(raw) if raw else None))
        reply = self.replies[0] if len(self.replies) == 1 else self.replies.pop(0)
        return await reply(request)


@asynccontextmanager
async def scripted_responses() -> AsyncIterator[ScriptedResponses]:
    script = ScriptedResponses()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    script.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield script
    finally:
        await runner.cleanup()


def message(text: str) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "status": "completed", "content": content}


def function_call(name: str, arguments: Any = "{}", call_id: str = "call_1") -> Json:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def response(*output: Json, **changes: Any) -> Json:
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "output": list(output),
        "usage": USAGE,
    } | changes


def json_reply(body: Any, status: int = 200, **headers: str) -> Reply:
    return raw_reply(orjson.dumps(body), status, "application/json", **headers)


def raw_reply(body: bytes, status: int = 200, content_type: str = "text/html", **headers: str) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, status=status, headers=named, content_type=content_type)

    return reply


def stream_reply(*events: Json, is_cut: bool = False) -> Reply:
    """Server-sent events; `is_cut` breaks the connection after them instead of ending the stream."""

    async def reply(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await stream.prepare(request)
        for event in events:
            await stream.write(b"data: " + orjson.dumps(event) + b"\n\n")
        if is_cut and request.transport is not None:
            request.transport.abort()
        return stream

    return reply


def delta(text: str) -> Json:
    return {"type": "response.output_text.delta", "delta": text}


def completed(*output: Json) -> Json:
    return {"type": "response.completed", "response": response(*output)}


def failed(text: str, code: str = "server_error") -> Json:
    error = {"code": code, "message": text}
    return {"type": "response.failed", "response": response(status="failed", error=error, usage=None)}


def silence() -> Reply:
    """Takes the call and says nothing until the caller has gone."""

    async def reply(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    return reply


def broken_connection() -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return reply
