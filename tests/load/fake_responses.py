"""A Responses server in Llama Stack's place, as cheap as can be: bare ASGI, no JSON read. It repeats the nonce it was sent.

`POST /control?latency_ms=N` sets the model's latency and the count of calls to 0; `GET /control` tells the count.
Source of the shapes: https://platform.openai.com/docs/api-reference/responses"""

import argparse
import asyncio
import itertools
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import uvicorn

type Json = dict[str, Any]
type Receive = Callable[[], Awaitable[Json]]
type Send = Callable[[Json], Awaitable[None]]

MODEL = "llm/demo-rules"
NONCE = re.compile(rb"nonce-[0-9a-f]{32}")
STREAMED = re.compile(rb'"stream":\s*true')
PREFIX = "Here is your word again:"
USAGE: Json = {
    "input_tokens": 40,
    "output_tokens": 16,
    "total_tokens": 56,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


def answer_to(body: bytes) -> str:
    """The words around the last nonce of a request: the last message is the person's."""
    found = NONCE.findall(body)
    return f"{PREFIX} {found[-1].decode() if found else 'none'}"


def response(number: int, text: str, status: str = "completed") -> Json:
    message = {
        "type": "message",
        "id": f"msg_{number:048x}",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    return {
        "id": f"resp_{number:048x}",
        "object": "response",
        "created_at": int(time.time()),
        "model": MODEL,
        "status": status,
        "output": [message] if status == "completed" else [],
        "error": None,
        "parallel_tool_calls": True,
        "store": False,
        "tools": [],
        "tool_choice": "auto",
        "text": {"format": {"type": "text"}},
        "usage": USAGE if status == "completed" else None,
    }


def stream_events(number: int, text: str) -> list[Json]:
    """The events of a streamed answer: two deltas and what stands around them."""
    item = f"msg_{number:048x}"
    at = {"item_id": item, "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    half = len(text) // 2
    done = response(number, text)
    events: list[Json] = [
        {"type": "response.created", "response": response(number, text, "in_progress")},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {"type": "message", "id": item, "role": "assistant", "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **at, "part": part},
        {"type": "response.output_text.delta", **at, "delta": text[:half]},
        {"type": "response.output_text.delta", **at, "delta": text[half:]},
        {"type": "response.output_text.done", **at, "text": text},
        {"type": "response.content_part.done", **at, "part": part | {"text": text}},
        {"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]},
        {"type": "response.completed", "response": done},
    ]
    return [event | {"sequence_number": place} for place, event in enumerate(events)]


@dataclass
class FakeResponses:
    """The ASGI application. `calls` counts the model calls since the last POST to /control."""

    latency_s: float = 0.0
    calls: int = 0
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def __call__(self, scope: Json, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await answer_lifespan(receive, send)
            return
        body = await body_of(receive)
        match scope["method"], scope["path"]:
            case "POST", "/v1/responses":
                await self._responses(body, send)
            case "GET", "/v1/models":
                model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "bench"}
                await reply_json(send, {"object": "list", "data": [model]})
            case "GET", "/v1/health":
                await reply_json(send, {"status": "OK"})
            case "POST", "/control":
                latency_ms = parse_qs(scope["query_string"].decode()).get("latency_ms", ["0"])[0]
                self.latency_s, self.calls = float(latency_ms) / 1000, 0
                await reply_json(send, {"calls": 0})
            case "GET", "/control":
                await reply_json(send, {"calls": self.calls})
            case _:
                await reply_json(send, {"detail": "Not Found"}, 404)

    async def _responses(self, body: bytes, send: Send) -> None:
        self.calls += 1
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        number = next(self._numbers)
        if not STREAMED.search(body):
            await reply_json(send, response(number, answer_to(body)))
            return
        lines = [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in stream_events(number, answer_to(body))]
        await reply_bytes(send, "".join(lines).encode(), b"text/event-stream")


async def body_of(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def reply_json(send: Send, body: Json, status: int = 200) -> None:
    await reply_bytes(send, json.dumps(body).encode(), b"application/json", status)


async def reply_bytes(send: Send, body: bytes, kind: bytes, status: int = 200) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    chosen = parser.parse_args()
    app = FakeResponses(latency_s=chosen.latency_ms / 1000)
    config: Json = {"log_level": "warning", "access_log": False, "timeout_graceful_shutdown": 1}
    uvicorn.run(app, port=chosen.port, loop="uvloop", http="httptools", **config)


if __name__ == "__main__":
    main()
