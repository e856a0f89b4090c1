"""What Slack's Web API does on a bad day.

The layer sits around the whole app, so that a fault can come before the work is done or after it."""

import asyncio
from contextlib import suppress

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from local_stack.faults import Faults, swallow, until_the_caller_leaves
from local_stack.slack.errors import RateLimited
from local_stack.slack.limits import Limits

API = "/api/"


class Fault(BaseModel):
    """What happens to calls of `method` (empty: any): to `times` of them (-1: to all), and of these to each `every`th.

    `error` answers with ok false and this word; `status` with this HTTP status, 429 with `retry_after_s`. `delay_s`
    waits first. `after_effect`: the work is done before the fault comes. `loses_reply`: the work is done, and the
    connection breaks in the middle of the answer. `is_silent`: no answer comes, ever."""

    model_config = ConfigDict(extra="forbid")

    method: str = ""
    times: int = 1
    every: int = Field(default=1, ge=1)
    error: str = ""
    status: int | None = Field(default=None, ge=200, le=599)
    retry_after_s: int = 1
    delay_s: float = Field(default=0.0, ge=0, le=60)
    after_effect: bool = False
    loses_reply: bool = False
    is_silent: bool = False
    _seen: int = PrivateAttr(default=0)

    def hits(self, method: str) -> bool:
        if self.method not in ("", method):
            return False
        self._seen += 1
        return self._seen % self.every == 0

    def response(self) -> Response | None:
        if self.error:
            return JSONResponse({"ok": False, "error": self.error})
        if self.status == 429:
            headers = {"retry-after": str(self.retry_after_s)}
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers=headers)
        return None if self.status is None else Response("Scripted fault", self.status)


class FaultLayer:
    def __init__(self, app: ASGIApp, faults: Faults[Fault], limits: Limits) -> None:
        self.app = app
        self.faults = faults
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        method = path.removeprefix(API)
        fault = self.faults.take(method) if path.startswith(API) else None
        if fault is None:
            await self.app(scope, receive, send)
            return
        await asyncio.sleep(fault.delay_s)
        if fault.after_effect or fault.loses_reply:
            await self.app(scope, receive, swallow)
        if fault.loses_reply:
            # Ending here without the promised body makes the server close the connection.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9999")]})
            return
        if fault.is_silent:
            await until_the_caller_leaves(receive)
            return
        response = fault.response()
        if fault.status == 429:
            with suppress(RateLimited):
                self.limits.close(method, fault.retry_after_s)
        if response is not None:
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)
