"""integration-dispatcher alone on real PostgreSQL; request-manager, which takes its reports, is a list."""

import base64
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from integration_dispatcher.app import create_app
from integration_dispatcher.parts import Parts
from integration_dispatcher.settings import Settings
from integration_dispatcher.store import addresses
from pydantic import SecretStr
from shared_models.enums import DeliveryPolicy, IntegrationType, RequestStatus, Role, ServiceName
from shared_models.events import EventType, parse_http
from shared_models.ids import new_id
from shared_models.schemas import (
    AgentRef,
    AgentResponse,
    DeliveryReport,
    DeliveryWish,
    ErrorInfo,
    Person,
    ResponseContent,
)
from shared_models.settings import Profile
from shared_models.tokens import Acting, ServiceTokens

from tests.support.database import superuser
from tests.support.servers import free_socket, serving
from tests.support.waiting import eventually
from tests.support.webhook import WebhookReceiver

TOKEN_KEY = "k" * 32
SECRETS_KEY = base64.b64encode(os.urandom(32)).decode()

UNDONE = """
select (select count(*) from delivery_plans where note is not null) + (select count(*) from work_items where dead_at is null)
"""

type Json = dict[str, Any]
type Network = Callable[[httpx.Request], Awaitable[httpx.Response | None]]


def wish(*targets: str, policy: str = "first_success", mode: str = "targets") -> DeliveryWish:
    """`targets` of integrations, or with a mode and none."""
    types = [IntegrationType(target) for target in targets]
    return DeliveryWish.model_validate({"mode": mode, "targets": types, "policy": DeliveryPolicy(policy)})


PREFERRED = wish(mode="preferred")


def ended(
    user_id: UUID,
    delivery: DeliveryWish | None,
    *,
    content: str = "Your laptop ships on Monday.",
    status: RequestStatus = RequestStatus.COMPLETED,
    error: ErrorInfo | None = None,
) -> AgentResponse:
    """How a request of this person ended."""
    now = datetime.now(UTC)
    is_answered = status is RequestStatus.COMPLETED
    return AgentResponse(
        request_id=new_id(),
        session_id=new_id(),
        sequence=1,
        person=Person(user_id=user_id, email="ana@example.com", name="Ana"),
        integration_type=IntegrationType.WEB,
        status=status,
        response=ResponseContent(content=content, agent=AgentRef(name="routing", version="1")) if is_answered else None,
        error=error,
        delivery=delivery,
        created_at=now - timedelta(seconds=2),
        ended_at=now,
        deadline_at=now + timedelta(hours=24),
    )


@dataclass
class Sink:
    """Takes delivery events as request-manager does. `statuses` are used up first, instead of 202."""

    reports: list[DeliveryReport] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def take(self, request: httpx.Request) -> httpx.Response:
        if self.statuses:
            return httpx.Response(self.statuses.pop(0))
        event = parse_http({name.lower(): value for name, value in request.headers.items()}, await request.aread())
        report = DeliveryReport.model_validate(event.data)
        is_success = report.status.value == "delivered"
        assert event.type == (EventType.DELIVERY_SUCCEEDED if is_success else EventType.DELIVERY_FAILED)
        self.reports.append(report)
        return httpx.Response(202)


@dataclass
class DispatcherClient:
    """The service as request-manager sees it."""

    http: httpx.AsyncClient

    async def plan(self, answer: AgentResponse) -> None:
        reply = await self.post_answer(answer.model_dump_json().encode())
        assert (reply.status_code, reply.content) == (202, b""), reply.text

    async def post_answer(self, body: bytes, token: str | None = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {token if token is not None else service_token()}"}
        return await self.http.post("/api/v1/deliveries", content=body, headers=headers)

    async def call(
        self, method: str, path: str, user_id: UUID, *, roles: Sequence[Role] = (Role.USER,), **given: Any
    ) -> httpx.Response:
        """A person's call as request-manager passes it on; `{me}` in the path is the person."""
        acting = Acting(user_id, "ana@example.com", "Ana", tuple(roles))
        token = manager_tokens().make(ServiceName.INTEGRATION_DISPATCHER, acting)
        headers = {"authorization": f"Bearer {token}"}
        return await self.http.request(method, path.replace("{me}", str(user_id)), headers=headers, **given)

    async def get(self, path: str, user_id: UUID) -> Json:
        reply = await self.call("GET", path, user_id)
        assert reply.status_code == 200, reply.text
        value: Json = reply.json()
        return value

    async def set_webhook(self, user_id: UUID, url: str, *, rotate_secret: bool = False, **body: Any) -> str:
        """Returns the new secret."""
        given = {"config": {"url": url, "rotate_secret": rotate_secret}, **body}
        reply = await self.call("PUT", "/api/v1/users/{me}/integrations/webhook", user_id, json=given)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["secret"])

    async def inbox(self, user_id: UUID) -> list[str]:
        page = await self.get("/api/v1/users/{me}/test-messages", user_id)
        return [message["content"] for message in page["items"]]

    async def deliveries(self, user_id: UUID) -> list[Json]:
        page = await self.get("/api/v1/users/{me}/deliveries", user_id)
        items: list[Json] = page["items"]
        return items

    async def statuses(self, user_id: UUID) -> dict[str, str]:
        """Status by integration."""
        return {item["integration"]: item["status"] for item in await self.deliveries(user_id)}

    async def attempts(self, delivery_id: str, user_id: UUID) -> list[Json]:
        items: list[Json] = (await self.get(f"/api/v1/deliveries/{delivery_id}/attempts", user_id))["items"]
        return items


@dataclass
class Dispatcher(DispatcherClient):
    """The service in this process, and what it has reported."""

    app: FastAPI
    sink: Sink

    @property
    def parts(self) -> Parts:
        parts = self.app.state.parts
        assert isinstance(parts, Parts)
        return parts

    async def set_webhook(self, user_id: UUID, url: str, *, rotate_secret: bool = False, **body: Any) -> str:
        """As for any caller; here it counts as proven also where nobody answers. Returns the new secret."""
        secret = await super().set_webhook(user_id, url, rotate_secret=rotate_secret, **body)
        await addresses.prove(self.parts.database, user_id, IntegrationType.WEBHOOK, url, "test")
        return secret

    async def is_idle(self) -> bool:
        """Nothing is queued, and nobody is still to be told of a failure: a note is queued in the statement that settles it."""
        return await self.parts.database.fetchval(UNDONE) == 0

    async def idle(self) -> None:
        await eventually(self.is_idle)

    async def released(self) -> None:
        """Until nothing is being tried: a status may be read a moment before its queue row is put back."""

        async def none_is_leased() -> bool:
            leased = """select (select count(*) from work_items where leased_by is not null and dead_at is null)
                             + (select count(*) from lanes where leased_by is not null)"""
            return await self.parts.database.fetchval(leased) == 0

        await eventually(none_is_leased)

    async def sql(self, statement: str, *args: object) -> str:
        return await self.parts.database.execute(statement, *args)


async def all_rows(database_url: str) -> str:
    """Every row of every table as text."""
    async with superuser(database_url) as connection:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        rows = [await connection.fetch(f"select t::text as line from {table['tablename']} t") for table in tables]
    return "\n".join(str(row["line"]) for each in rows for row in each)


def manager_tokens() -> ServiceTokens:
    return ServiceTokens(TOKEN_KEY, ServiceName.REQUEST_MANAGER)


def service_token(audience: ServiceName = ServiceName.INTEGRATION_DISPATCHER) -> str:
    return manager_tokens().make(audience)


def settings(database_url: str, **changes: Any) -> Settings:
    """Retries without waiting; the loopback network 127.0.0.0/8 counts as public."""
    given: Json = {
        "profile": Profile.LOCAL,
        "database_url": SecretStr(database_url),
        "database_role": "ssa_integration_dispatcher",
        "service_token_key": SecretStr(TOKEN_KEY),
        "secrets_key": SecretStr(SECRETS_KEY),
        "webhook_allowed_networks": "127.0.0.0/8",
        "webhook_timeout_s": 60.0,
        "delivery_sweep_every_s": 0.05,
        "integration_defaults": {"webhook": {"retry_delay_seconds": 0}, "test": {"retry_delay_seconds": 0}},
    }
    return Settings(**given | changes)


@asynccontextmanager
async def running(given: Settings, network: Network | None = None) -> AsyncIterator[Dispatcher]:
    """A process of the service from start to orderly stop. `network`: whom it reaches besides the sink of its events."""
    sink = Sink()

    async def take(request: httpx.Request) -> httpx.Response:
        found = await network(request) if network is not None else None
        return found if found is not None else await sink.take(request)

    outside = httpx.AsyncClient(transport=httpx.MockTransport(take))
    app = create_app(given, http=outside)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        outside,
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://dispatcher") as http,
    ):
        yield Dispatcher(http, app, sink)


@pytest.fixture
async def dispatcher(database_url: str) -> AsyncIterator[Dispatcher]:
    async with running(settings(database_url)) as dispatcher:
        yield dispatcher


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    """A webhook receiver that is there; its address is `url`."""
    sock, url = free_socket()
    receiver = WebhookReceiver(url=url + "/hook")
    async with serving(receiver.app(), sock):
        yield receiver


@pytest.fixture
def receiver_url(receiver: WebhookReceiver) -> str:
    return receiver.url
