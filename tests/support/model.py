"""A model server for tests, in the shape of Llama Stack's `/v1/responses`: demo-rules by default, or a script."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from local_stack.demo_rules.conversation import read_conversation
from local_stack.demo_rules.flow import reply_to
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

type Json = dict[str, Any]
type Step = Json | Callable[[Json], Json]


def text(content: str) -> Json:
    """A scripted answer in words."""
    return {"text": content}


def call(name: str, **arguments: Any) -> Json:
    """A scripted tool call."""
    return {"calls": [(name, json.dumps(arguments))]}


def calls(*pairs: tuple[str, str]) -> Json:
    """Scripted tool calls with arguments as the raw text that a model may send."""
    return {"calls": list(pairs)}


def failure(status: int, detail: str) -> Json:
    """A scripted HTTP error."""
    return {"status": status, "detail": detail}


GARBAGE: Json = {"raw": b"<html>not a reply</html>"}
HANG: Json = {"hang": True}
CUT_OFF: Json = {"cut": True}


@dataclass
class ModelServer:
    """`seen` holds every request body. `script` is used up first; then `always`, else the rules of demo-rules."""

    seen: list[Json] = field(default_factory=list)
    script: deque[Step] = field(default_factory=deque)
    always: Step | None = None
    hold: asyncio.Event | None = None
    _count: int = 0

    def hold_all(self) -> None:
        """Keep every call waiting until `release`."""
        self.hold = asyncio.Event()

    def release(self) -> None:
        if self.hold is not None:
            self.hold.set()
            self.hold = None

    def is_down(self) -> None:
        """Answer every call with an error of the upstream."""
        self.always = failure(500, "Connection error.")

    def insists_on_calling(self, tool: str, **arguments: Any) -> None:
        """The next answer is this tool call."""
        self.script.append(call(tool, **arguments))

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/responses", self._respond, methods=["POST"]),
                Route("/v1/health", self._health),
                Route("/v1/models", self._models),
            ]
        )

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "OK"})

    async def _models(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "llm/demo-rules", "object": "model"}]})

    async def _respond(self, request: Request) -> Response:
        body: Json = await request.json()
        if "input" not in body:
            return JSONResponse({"detail": "input: Field required"}, status_code=400)
        self.seen.append(body)
        hold = self.hold
        if hold is not None:
            await hold.wait()
        step = self.script.popleft() if self.script else self.always
        reply = step(body) if callable(step) else step
        if reply is None:
            reply = demo_rules_reply(body)
        return await self._send(reply, is_stream=bool(body.get("stream")))

    async def _send(self, reply: Json, *, is_stream: bool) -> Response:
        if reply.get("hang"):
            await asyncio.Event().wait()
        if "status" in reply:
            return JSONResponse({"detail": reply["detail"]}, status_code=reply["status"])
        if "raw" in reply:
            return Response(reply["raw"], media_type="application/json")
        if not is_stream and reply.get("cut"):
            return Response(b'{"id": "resp', media_type="application/json")
        if is_stream:
            return StreamingResponse(self._events(reply), media_type="text/event-stream")
        return JSONResponse(self._response(reply))

    def _response(self, reply: Json) -> Json:
        self._count += 1
        output: list[Json] = [
            {
                "type": "function_call",
                "id": f"fc_{self._count}_{index}",
                "call_id": f"call_{self._count}_{index}",
                "name": name,
                "arguments": arguments,
                "status": "completed",
            }
            for index, (name, arguments) in enumerate(reply.get("calls", []))
        ]
        if "text" in reply:
            content = [{"type": "output_text", "text": reply["text"], "annotations": []}]
            output.append(
                {
                    "type": "message",
                    "role": "assistant",
                    "id": f"m_{self._count}",
                    "content": content,
                    "status": "completed",
                }
            )
        usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
        return {
            "id": f"resp_{self._count}",
            "object": "response",
            "created_at": 0,
            "model": "llm/demo-rules",
            "status": "completed",
            "output": output,
            "usage": usage,
        }

    async def _events(self, reply: Json) -> AsyncIterator[bytes]:
        response = self._response(reply)
        yield _sse({"type": "response.created", "response": {**response, "status": "in_progress", "output": []}})
        words = str(reply.get("text", "")).split(" ")
        for index, word in enumerate(words):
            delta = word if index == len(words) - 1 else word + " "
            yield _sse(
                {
                    "type": "response.output_text.delta",
                    "delta": delta,
                    "item_id": "m",
                    "output_index": 0,
                    "content_index": 0,
                }
            )
            if reply.get("cut"):
                return
        yield _sse({"type": "response.completed", "response": response})


def _sse(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def demo_rules_reply(body: Json) -> Json:
    """What demo-rules answers to this request, as OGX would ask it."""
    talk = read_conversation(_chat_messages(body), [_chat_tool(tool) for tool in body.get("tools") or []])
    reply = reply_to(talk)
    if reply.calls:
        return {"calls": [(item.name, json.dumps(item.arguments)) for item in reply.calls]}
    return {"text": reply.text}


def _chat_tool(tool: Json) -> Json:
    return {"type": "function", "function": {key: tool.get(key) for key in ("name", "description", "parameters")}}


def _chat_messages(body: Json) -> list[Json]:
    messages: list[Json] = [{"role": "system", "content": body.get("instructions") or ""}]
    items = (
        body["input"]
        if isinstance(body["input"], list)
        else [{"type": "message", "role": "user", "content": body["input"]}]
    )
    for item in items:
        if item.get("type") == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            messages.append(
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": item["call_id"], "type": "function", "function": function}],
                }
            )
        elif item.get("type") == "function_call_output":
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]})
        else:
            messages.append({"role": item["role"], "content": item["content"]})
    return messages
