"""The program: Slack's Web API, its sockets and response URLs, the workspace in the browser, and the control of tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict

from fastapi import APIRouter, FastAPI, Request, WebSocket
from starlette.responses import JSONResponse, PlainTextResponse, Response

from local_stack.program import control, readiness
from local_stack.slack import web_api
from local_stack.slack.browser import browser_routes, refused
from local_stack.slack.errors import Refused
from local_stack.slack.faults import Fault, FaultLayer
from local_stack.slack.records import Json
from local_stack.slack.standin import Standin


def create_app(standin: Standin) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keeping = asyncio.create_task(standin.keep())
        yield
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await standin.close()

    app = FastAPI(title="Slack stand-in", openapi_url=None, lifespan=lifespan)
    app.include_router(_slack_routes(standin))
    app.include_router(readiness())
    app.include_router(browser_routes(standin))
    app.add_exception_handler(Refused, refused)
    app.include_router(_control_routes(standin))
    app.add_middleware(FaultLayer, faults=standin.faults, limits=standin.limits)
    return app


def _slack_routes(standin: Standin) -> APIRouter:
    router = APIRouter()

    @router.api_route("/api/{method}", methods=["GET", "POST"])
    async def call(method: str, request: Request) -> Response:
        return await web_api.answer(standin, method, request)

    @router.post("/respond/{key}")
    async def respond(key: str, request: Request) -> Response:
        try:
            standin.responses.use(key, await request.json())
        except Refused as exc:
            return JSONResponse(exc.body(), 404 if exc.code.endswith("_url") else 400)
        except ValueError:
            return JSONResponse({"ok": False, "error": "invalid_payload"}, 400)
        return PlainTextResponse("ok")

    @router.websocket("/link")
    async def link(socket: WebSocket) -> None:
        await standin.sockets.serve(socket)

    return router


def _control_routes(standin: Standin) -> APIRouter:
    router = control(standin.settings.control_token)

    @router.post("/faults", status_code=204)
    async def script(fault: Fault) -> None:
        standin.faults.add(fault)

    @router.delete("/faults", status_code=204)
    async def clear() -> None:
        standin.faults.clear()

    @router.get("/report")
    async def read() -> Response:
        return JSONResponse(report(standin))

    return router


def report(standin: Standin) -> Json:
    """What happened so far: calls, tries to reach the app, and every breach of Slack's rules."""
    sent = [{name: value for name, value in asdict(each).items() if name != "body"} for each in standin.sender.sent]
    return {
        "calls": [asdict(each) for each in standin.calls],
        "sent": sent,
        "violations": standin.limits.violations,
        "pings": standin.workspace.pings,
        "truncated": standin.workspace.truncated,
    }
