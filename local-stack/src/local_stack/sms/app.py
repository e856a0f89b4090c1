"""One process for two stand-ins: the SMS provider with its phones at `/`, and the webhook inbox at `/webhooks/`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI

from local_stack.pages.site import pages
from local_stack.program import control, readiness
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
    app.include_router(readiness())
    app.include_router(_control_routes(standin))
    app.include_router(pages(STATIC))
    app.add_exception_handler(ApiError, on_error)
    app.add_middleware(FaultLayer, faults=standin.faults)
    return app


def _control_routes(standin: SmsStandin) -> APIRouter:
    router = control(standin.settings.control_token)

    @router.post("/faults", status_code=204)
    async def script(fault: SmsFault) -> None:
        standin.faults.add(fault)

    @router.put("/reports", status_code=204)
    async def set_reports(reports: Reports) -> None:
        standin.reports = reports

    return router
