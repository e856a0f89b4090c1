"""One process for two stand-ins: the SMS provider with its phones at `/`, and the webhook inbox at `/webhooks/`."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from local_stack.pages.site import pages
from local_stack.servicenow.faults import FaultLayer
from local_stack.sms.api import api, on_error
from local_stack.sms.browser import browser
from local_stack.sms.faults import Reports, SmsFault
from local_stack.sms.rules import ApiError
from local_stack.sms.standin import SmsStandin
from local_stack.webhook_inbox.app import inbox_routes
from local_stack.webhook_inbox.inbox import WebhookInbox

STATIC = Path(__file__).parent / "static"


def create_app(standin: SmsStandin, inbox: WebhookInbox) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with standin.http:
            yield

    app = FastAPI(title="SMS stand-in and webhook inbox", openapi_url=None, lifespan=lifespan)
    app.include_router(api(standin))
    app.include_router(browser(standin))
    app.include_router(inbox_routes(inbox))
    _add_control(app, standin)
    app.include_router(pages(STATIC))
    app.add_exception_handler(ApiError, on_error)
    app.add_middleware(FaultLayer, faults=standin.faults)
    return app


def _add_control(app: FastAPI, standin: SmsStandin) -> None:
    def may_control(request: Request) -> bool:
        token = standin.settings.control_token.get_secret_value()
        return bool(token) and hmac.compare_digest(request.headers.get("x-control-token", "").encode(), token.encode())

    @app.get("/readyz")
    async def ready() -> Response:
        return JSONResponse({"status": "ok"})

    @app.post("/_standin/faults")
    async def script(fault: SmsFault, request: Request) -> Response:
        if not may_control(request):
            return Response(status_code=404)
        standin.faults.add(fault)
        return Response(status_code=204)

    @app.put("/_standin/reports")
    async def set_reports(reports: Reports, request: Request) -> Response:
        if not may_control(request):
            return Response(status_code=404)
        standin.reports = reports
        return Response(status_code=204)
