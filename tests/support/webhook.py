"""A webhook receiver that keeps what it got and can be told to fail first."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HANG = "hang"


@dataclass(frozen=True)
class Received:
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        value: dict[str, Any] = orjson.loads(self.raw)
        return value


@dataclass
class WebhookReceiver:
    """`tries` holds every call, `accepted` those answered with 2xx. `failures` is used up first: a status, or HANG.

    Calls that ask whether the receiver is its owner's stand in `challenges`; it proves itself if `is_willing`."""

    url: str = ""
    is_willing: bool = True
    challenges: list[Received] = field(default_factory=list)
    failures: deque[int | str] = field(default_factory=deque)
    tries: list[Received] = field(default_factory=list)
    accepted: list[Received] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/hook", self._receive, methods=["POST"])])

    async def _receive(self, request: Request) -> Response:
        received = Received(dict(request.headers), await request.body())
        if received.body.get("type") == "webhook.verify":
            self.challenges.append(received)
            echo = {"challenge": received.body["data"]["challenge"]} if self.is_willing else {}
            return Response(orjson.dumps(echo), media_type="application/json")
        self.tries.append(received)
        failure = self.failures.popleft() if self.failures else 204
        if failure == HANG:
            await _until_the_sender_gives_up(request)
            return Response(status_code=504)
        if failure == 204:
            self.accepted.append(received)
        return Response(status_code=int(failure))


async def _until_the_sender_gives_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
