"""The three services in this process on one database; in eventing mode the broker between them is moved by the test."""

import base64
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
from agent_service.app import create_app as create_agent_service
from agent_service.domain.agents import AgentCatalogue
from agent_service.outside import Outside
from agent_service.settings import Settings as AgentSettings
from fastapi import FastAPI
from integration_dispatcher.app import create_app as create_dispatcher
from integration_dispatcher.settings import Settings as DispatcherSettings
from request_manager.app import create_app as create_request_manager
from request_manager.bootstrap import Wanted, ensure_person
from request_manager.settings import RequestManagerSettings
from shared_models.enums import Role, ServiceName
from shared_models.event_data import KINDS
from shared_models.events import CloudEvent, EventType
from shared_models.tokens import ServiceTokens, new_identity_key_pair
from shared_models.web import DEAD_LETTERS_PATH, EVENTS_PATH

from tests.support.agent_world import LAPTOP, ROUTER
from tests.support.database import superuser
from tests.support.fake_broker import BROKER_URL, FakeBroker
from tests.support.request_manager import Someone
from tests.support.scripted_outside import ScriptedKnowledge, ScriptedModel, ScriptedTools
from tests.support.waiting import eventually

TOKEN_KEY = "k" * 40
URLS = {
    ServiceName.REQUEST_MANAGER: "http://rm.test",
    ServiceName.AGENT_SERVICE: "http://agents.test",
    ServiceName.INTEGRATION_DISPATCHER: "http://dispatcher.test",
}
MANY: dict[str, Any] = {"requests_per_minute": 100_000, "running_requests": 1000, "waiting_requests": 1000}

type Json = dict[str, Any]


class Network(httpx.AsyncBaseTransport):
    """Who answers at which host; filled while the services are made, which need their client first."""

    def __init__(self) -> None:
        self.hosts: dict[str, httpx.AsyncBaseTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.hosts[request.url.host].handle_async_request(request)


@dataclass
class Trio:
    """`broker` holds what the services have sent; `deliver` brings an event to its consumers, as a broker would."""

    database_url: str
    http: httpx.AsyncClient
    broker: FakeBroker
    model: ScriptedModel = field(default_factory=ScriptedModel)
    apps: dict[ServiceName, FastAPI] = field(default_factory=dict)

    async def person(self, name: str = "ana") -> Someone:
        email = f"{name}@example.com"
        made = await ensure_person(self.database_url, Wanted(email, name.title(), Role.USER))
        return Someone(made.user_id, email, made.api_key)

    async def post(self, someone: Someone, content: str = "hello", **body: Any) -> Json:
        """Ask without waiting; returns the 202 body."""
        url = URLS[ServiceName.REQUEST_MANAGER] + "/api/v1/requests/generic"
        headers = {**someone.headers, "prefer": "respond-async", **body.pop("headers", {})}
        reply = await self.http.post(url, json={"content": content, **body}, headers=headers)
        assert reply.status_code == 202, reply.text
        value: Json = reply.json()
        return value

    async def get(self, someone: Someone, path: str) -> Json:
        reply = await self.http.get(URLS[ServiceName.REQUEST_MANAGER] + path, headers=someone.headers)
        assert reply.status_code < 300, reply.text
        value: Json = reply.json()
        return value

    async def result(self, someone: Someone, request_id: str) -> Json:
        return await self.get(someone, f"/api/v1/requests/{request_id}/result")

    async def send(self, event: CloudEvent, taker: ServiceName, path: str = EVENTS_PATH) -> int:
        """Bring an event to one service. Returns its status; the body must be empty."""
        headers, body = event.to_binary()
        headers["authorization"] = f"Bearer {ServiceTokens(TOKEN_KEY, ServiceName.BROKER).make(taker)}"
        reply = await self.http.post(URLS[taker] + path, content=body, headers=headers)
        assert reply.content == b"", reply.text
        return reply.status_code

    async def deliver(self, event: CloudEvent) -> set[int]:
        """Bring an event to each of its consumers. Returns their statuses."""
        return {await self.send(event, taker) for taker in KINDS[EventType(event.type)].takers}

    async def give_up(self, event: CloudEvent, taker: ServiceName, status: int) -> int:
        """Bring an event that `taker` has answered with this status to the dead-letter sink, as a broker would."""
        told = {"knativeerrordest": URLS[taker] + EVENTS_PATH, "knativeerrorcode": str(status)}
        dead = event.model_copy(update={"extensions": event.extensions | told})
        return await self.send(dead, ServiceName.REQUEST_MANAGER, DEAD_LETTERS_PATH)

    async def sent(self, kind: EventType, request_id: str) -> CloudEvent:
        """The event of this type and request, once it was sent."""

        async def find() -> CloudEvent | None:
            found = (event for event in self.broker.of(kind) if event.extensions["requestid"] == request_id)
            return next(found, None)

        found = await eventually(find)
        assert found is not None
        return found

    async def sql(self, statement: str, *args: object) -> list[asyncpg.Record]:
        """As superuser, beside the services."""
        async with superuser(self.database_url) as connection:
            return list(await connection.fetch(statement, *args))

    async def idle(self) -> None:
        async def nothing_left() -> bool:
            return await self.sql("select from work_items where dead_at is null") == []

        await eventually(nothing_left, every_s=0.1)


@asynccontextmanager
async def trio(
    database_url: str, agent_service: Json | None = None, *, eventing: bool = True, **request_manager: Any
) -> AsyncIterator[Trio]:
    """All three, started. `agent_service`, `request_manager`: settings of them."""
    broker = FakeBroker(TOKEN_KEY)
    network = Network()
    network.hosts["broker.test"] = httpx.MockTransport(broker.handle)
    async with httpx.AsyncClient(transport=network, timeout=60) as http, AsyncExitStack() as stack:
        made = Trio(database_url, http, broker)
        own = {"agent_service": agent_service or {}, "request_manager": request_manager}
        made.apps = apps_of(made, eventing_enabled=eventing, **own)
        for name, app in made.apps.items():
            network.hosts[httpx.URL(URLS[name]).host] = httpx.ASGITransport(app, raise_app_exceptions=False)
        for app in made.apps.values():
            await stack.enter_async_context(app.router.lifespan_context(app))
        yield made


def apps_of(made: Trio | None = None, **given: Any) -> dict[ServiceName, FastAPI]:
    """The three apps, not started. `given`: settings of all of them, or of one under its package name."""
    services = made or Trio("postgresql://u@127.0.0.1:1/d", httpx.AsyncClient(), FakeBroker(TOKEN_KEY))
    own = {name: given.pop(name, {}) for name in ("agent_service", "integration_dispatcher", "request_manager")}
    outside = Outside(AgentCatalogue((ROUTER, LAPTOP)), services.model, ScriptedTools(), ScriptedKnowledge(), None)

    def settings(name: str, usual: Json) -> Json:
        merged: Json = _common(services.database_url, name) | usual | given | own[name]
        return merged

    agents = {"identity_signing_key": new_identity_key_pair()[0], "runs_per_user": 1000}
    dispatcher = {"secrets_key": base64.b64encode(os.urandom(32)).decode(), "delivery_sweep_every_s": 0.2}
    return {
        ServiceName.INTEGRATION_DISPATCHER: create_dispatcher(
            DispatcherSettings(**settings("integration_dispatcher", dispatcher)), services.http
        ),
        ServiceName.AGENT_SERVICE: create_agent_service(
            AgentSettings(**settings("agent_service", agents)), services.http, outside
        ),
        ServiceName.REQUEST_MANAGER: create_request_manager(
            RequestManagerSettings(**settings("request_manager", MANY)), services.http
        ),
    }


def _common(database_url: str, name: str) -> Json:
    return {
        "profile": "local",
        "database_url": database_url,
        "database_role": f"ssa_{name}",
        "service_token_key": TOKEN_KEY,
        "eventing_enabled": True,
        "broker_url": BROKER_URL,
        "request_manager_url": URLS[ServiceName.REQUEST_MANAGER],
        "agent_service_url": URLS[ServiceName.AGENT_SERVICE],
        "integration_dispatcher_url": URLS[ServiceName.INTEGRATION_DISPATCHER],
    }


def renamed(event: CloudEvent, changes: Sequence[tuple[str, str]]) -> CloudEvent:
    """The same event about other things: each id is replaced wherever it stands."""
    text = event.model_dump_json()
    for old, new in changes:
        text = text.replace(old, new)
    return CloudEvent.model_validate_json(text)
