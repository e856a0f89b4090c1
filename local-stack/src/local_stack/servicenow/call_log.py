"""One JSON line per call that the stand-in got, so that tests and developers see what was asked."""

import json
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local_stack.servicenow.tickets import now_utc

FILE = "calls.jsonl"
NOTES = "standin.notes"


class CallLog:
    """ASGI layer that writes `{at, method, path, query, status, ...notes}`; status 0: never answered."""

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self.app = app
        self.path = folder / FILE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(("/api/", "/oauth_token.do")):
            await self.app(scope, receive, send)
            return
        status = 0
        scope[NOTES] = {}

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            self._write(scope, status)

    def _write(self, scope: Scope, status: int) -> None:
        request = Request(scope)
        line = {
            "at": now_utc().isoformat(),
            "method": scope["method"],
            "path": scope["path"],
            "query": dict(request.query_params),
            "status": status,
            **scope[NOTES],
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def note(request: Request, **facts: Any) -> None:
    """Add facts to the line of this call."""
    request.scope.get(NOTES, {}).update(facts)
