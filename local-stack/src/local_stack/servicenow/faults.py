"""What ServiceNow does on a bad day.

The layer sits around the whole app, so that a fault can come before the work is done or after it."""

import asyncio

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from local_stack.faults import Faults, swallow, until_the_caller_leaves

HIBERNATING_PAGE = """<!DOCTYPE html><html><head><title>Instance Hibernating page</title></head>
<body><h1>Your instance is hibernating</h1><p>Sign in to the developer site to wake it.</p></body></html>"""
MESSAGES = {
    401: ("User Not Authenticated", "Required to provide Auth information"),
    403: ("Insufficient rights to query records", "Fields present in the query do not have permission to be read"),
    429: ("Rate limit exceeded", "Too many requests"),
}


class Fault(BaseModel):
    """What happens to the next `times` calls whose path holds `path` and whose method is `method` (empty: any).

    `status` answers so; `hibernating` answers the page of a sleeping instance; `silent` never answers; `delay_s` waits
    first. `after_effect`: the work is done before the fault comes."""

    model_config = ConfigDict(extra="forbid")

    path: str = ""
    method: str = ""
    times: int = 1
    status: int | None = Field(default=None, ge=200, le=599)
    retry_after_s: int | None = None
    hibernating: bool = False
    silent: bool = False
    delay_s: float = Field(default=0.0, ge=0, le=60)
    after_effect: bool = False

    def hits(self, call: str) -> bool:
        """`call`: method and path."""
        method, _, path = call.partition(" ")
        return self.path in path and self.method in ("", method)

    def response(self) -> Response | None:
        if self.hibernating:
            return HTMLResponse(HIBERNATING_PAGE)
        if self.status is None:
            return None
        message, detail = MESSAGES.get(self.status, ("Internal error", "Scripted fault"))
        headers = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        return error(self.status, message, detail, headers)


def error(status: int, message: str, detail: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error in ServiceNow's shape."""
    body = {"error": {"message": message, "detail": detail}, "status": "failure"}
    return JSONResponse(body, status, headers=headers)


class FaultLayer:
    def __init__(self, app: ASGIApp, faults: Faults[Fault]) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self.faults.take(f"{scope['method']} {scope['path']}") if _is_api(scope) else None
        if fault is None:
            await self.app(scope, receive, send)
            return
        await asyncio.sleep(fault.delay_s)
        if fault.after_effect:
            await self.app(scope, receive, swallow)
        if fault.silent:
            await until_the_caller_leaves(receive)
            return
        response = fault.response()
        if response is None:
            await self.app(scope, receive, send)
        else:
            await response(scope, receive, send)


def _is_api(scope: Scope) -> bool:
    return scope["type"] == "http" and not scope["path"].startswith("/_standin")
