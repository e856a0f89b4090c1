"""The model of a fault run, a process of its own in Llama Stack's place. It does what the last message asks it to, see `Do`.

What is not for it goes to demo-rules. Where one call holds two people's canaries, it writes a line to `leaks.jsonl`."""

import argparse
import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import uvicorn

from tests.chaos.lines import Lines
from tests.chaos.talk import CANARY, Do, Said, last_said
from tests.load.fake_responses import (
    MODEL,
    STREAMED,
    Json,
    Receive,
    Send,
    answer_lifespan,
    body_of,
    reply_bytes,
    reply_json,
    response,
    stream_events,
)
from tests.support.model import demo_rules_reply

SLOW_S = 1.5


class ChaosModel:
    """`POST /control?latency_ms=N` makes every answer take so long."""

    def __init__(self, leaks: Path) -> None:
        self._leaks = Lines(leaks)
        self.latency_s = 0.0
        self._asked: Counter[str] = Counter()
        self._count = 0

    async def __call__(self, scope: Json, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await answer_lifespan(receive, send)
            return
        body = await body_of(receive)
        match scope["method"], scope["path"]:
            case "POST", "/v1/responses":
                await self._respond(body, send)
            case "GET", "/v1/models":
                model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "chaos"}
                await reply_json(send, {"object": "list", "data": [model]})
            case "POST", "/control":
                self.latency_s = float(scope["query_string"].decode().partition("=")[2]) / 1000
                await reply_json(send, {})
            case _:
                await reply_json(send, {"status": "OK"})

    async def _respond(self, body: bytes, send: Send) -> None:
        text = body.decode()
        canaries = set(CANARY.findall(text))
        if len(canaries) > 1:
            self._leaks.add(canaries=sorted(canaries))
        self._count += 1
        said = last_said(text)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        if said is None:
            await reply_json(send, self._by_rules(json.loads(body)))
            return
        self._asked[said.nonce] += 1
        is_streamed = STREAMED.search(body) is not None
        if said.do.value.endswith("_once") and self._asked[said.nonce] > 1:
            await self._answer(said, send, is_streamed=is_streamed)
        else:
            await self._behave(said, send, is_streamed=is_streamed)

    async def _behave(self, said: Said, send: Send, *, is_streamed: bool) -> None:
        match said.do.kind:
            case "hang":
                await asyncio.sleep(3600)
            case "limit":
                await reply_json(send, {"detail": "slow down"}, 429)
            case "fail":
                await reply_json(send, {"detail": "out of order"}, 500)
            case "garbage":
                await reply_bytes(send, b"<html>no reply</html>", b"text/html")
            case "cut":
                await self._cut(said, send, is_streamed=is_streamed)
            case _:
                if said.do is Do.ANSWER_SLOWLY:
                    await asyncio.sleep(SLOW_S)
                await self._answer(said, send, is_streamed=is_streamed)

    async def _answer(self, said: Said, send: Send, *, is_streamed: bool) -> None:
        if not is_streamed:
            await reply_json(send, response(self._count, said.answer))
            return
        await reply_bytes(send, _streamed(stream_events(self._count, said.answer)), b"text/event-stream")

    async def _cut(self, said: Said, send: Send, *, is_streamed: bool) -> None:
        """The connection breaks in the middle of the answer; a stream ends before its last event."""
        if is_streamed:
            await reply_bytes(send, _streamed(stream_events(self._count, said.answer)[:5]), b"text/event-stream")
            return
        whole = json.dumps(response(self._count, said.answer)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(whole)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": whole[: len(whole) // 2], "more_body": True})

    def _by_rules(self, body: Json) -> Json:
        reply = demo_rules_reply(body)
        made = response(self._count, reply.get("text", ""))
        if "calls" in reply:
            made["output"] = [
                {
                    "type": "function_call",
                    "id": f"fc_{self._count}_{place}",
                    "call_id": f"call_{self._count}_{place}",
                    "name": name,
                    "arguments": arguments,
                    "status": "completed",
                }
                for place, (name, arguments) in enumerate(reply["calls"])
            ]
        return made


def _streamed(events: list[dict[str, Any]]) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--leaks", type=Path, required=True)
    chosen = parser.parse_args()
    app = ChaosModel(chosen.leaks)
    uvicorn.run(app, port=chosen.port, loop="uvloop", http="httptools", log_level="critical", access_log=False)


if __name__ == "__main__":
    main()
