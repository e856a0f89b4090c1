"""integration-dispatcher and the SMS stand-in, each of which calls the other, in one process and without sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from integration_dispatcher.store import addresses
from local_stack.sms.app import create_app
from local_stack.sms.callbacks import signature
from local_stack.sms.settings import ACCOUNT_SID, NUMBER, SmsStandinSettings
from local_stack.sms.standin import SmsStandin
from local_stack.webhook_inbox.inbox import WebhookInbox
from pydantic import SecretStr
from shared_models.enums import IntegrationType
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.dispatcher import Dispatcher, Json, running, settings

API_URL, CALLBACK_URL = "http://sms.test", "http://dispatcher.test"
AUTH_TOKEN = "a-token-of-the-account"
PHONE = "+14155550100"


class Later:
    """An app that calls one which is made after it."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@dataclass
class SmsWorld:
    dispatcher: Dispatcher
    standin: SmsStandin

    async def use_phone(self, user_id: UUID, phone: str = PHONE, **body: Any) -> None:
        """Set a phone that is proven already."""
        await addresses.prove(self.dispatcher.parts.database, user_id, IntegrationType.SMS, phone, "test")
        await self.set_phone(user_id, phone, **body)

    async def set_phone(self, user_id: UUID, phone: str = PHONE, **body: Any) -> None:
        given = {"config": {"phone": phone}, "retry_count": 8, "retry_delay_seconds": 0, **body}
        reply = await self.dispatcher.call("PUT", "/api/v1/users/{me}/integrations/sms", user_id, json=given)
        assert reply.status_code == 200, reply.text

    async def settled(self) -> None:
        """Nothing is to be delivered, and all that was sent has been reported."""
        await self.dispatcher.idle()
        await self.standin.idle()
        await self.dispatcher.idle()

    def texts(self, phone: str = PHONE) -> list[str]:
        return [each.body for each in self.standin.to(phone)]

    async def effective(self, user_id: UUID) -> Json:
        page = await self.dispatcher.get("/api/v1/users/{me}/integration-defaults", user_id)
        [found] = [each for each in page["items"] if each["integration"] == "sms"]
        return dict(found)

    async def call(
        self, path: str, form: dict[str, str], *, signed: str | None = None, query: str = ""
    ) -> httpx.Response:
        """A call as the provider makes it; `signed`: another signature than the right one."""
        form = {"AccountSid": ACCOUNT_SID} | form
        url = f"{CALLBACK_URL}{path}" + (f"?{query}" if query else "")
        headers = {"x-twilio-signature": signature(url, form, AUTH_TOKEN) if signed is None else signed}
        return await self.dispatcher.http.post(path, params=query, data=form, headers=headers)


def sms_settings(api_url: str, callback_url: str) -> dict[str, Any]:
    return {
        "sms_api_url": api_url,
        "sms_account_sid": ACCOUNT_SID,
        "sms_auth_token": SecretStr(AUTH_TOKEN),
        "sms_from": NUMBER,
        "sms_callback_url": callback_url,
    }


def sms_standin(folder: Path, http: httpx.AsyncClient, callback_url: str) -> SmsStandin:
    given = SmsStandinSettings(
        auth_token=SecretStr(AUTH_TOKEN),
        inbound_url=f"{callback_url}/sms/inbound",
        report_every_s=0,
        max_per_minute=10_000,
    )
    return SmsStandin(given, http, folder, {PHONE: "Alice Archer"})


@asynccontextmanager
async def sms_world(database_url: str, folder: Path, **changes: Any) -> AsyncIterator[SmsWorld]:
    service = Later()
    standin = sms_standin(
        folder, httpx.AsyncClient(transport=httpx.ASGITransport(service, raise_app_exceptions=False)), CALLBACK_URL
    )
    provider = create_app(standin, WebhookInbox(folder))
    given = settings(
        database_url, **{"public_url": "https://it.customer.com", **sms_settings(API_URL, CALLBACK_URL), **changes}
    )
    transport = httpx.ASGITransport(provider)

    async def network(request: httpx.Request) -> httpx.Response | None:
        return await transport.handle_async_request(request) if str(request.url).startswith(API_URL) else None

    async with standin.http, running(given, network) as dispatcher:
        service.app = dispatcher.app
        yield SmsWorld(dispatcher, standin)
        await standin.idle()
