"""request-manager in this process, on real PostgreSQL, between neighbours that do as they are told."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from request_manager.app import create_app
from request_manager.bootstrap import Wanted, ensure_person
from request_manager.parts import Parts
from request_manager.settings import RequestManagerSettings
from shared_models.enums import Role, ServiceName
from shared_models.tokens import ServiceTokens

from tests.support.neighbours import AGENTS_URL, DISPATCHER_URL, FakeAgents, FakeDispatcher, network

TOKEN_KEY = "k" * 40
ROLE = "ssa_request_manager"


@dataclass(frozen=True)
class Someone:
    """A person with a key, and the header that proves it."""

    user_id: UUID
    email: str
    api_key: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"}


@dataclass(frozen=True)
class Replica:
    """One running request-manager."""

    app: FastAPI
    client: httpx.AsyncClient

    @property
    def parts(self) -> Parts:
        parts: Parts = self.app.state.parts
        return parts

    async def ask(
        self, someone: Someone, content: str = "hello", entry: str = "generic", **body: Any
    ) -> httpx.Response:
        """Ask and wait for the answer."""
        return await self.client.post(
            f"/api/v1/requests/{entry}", json={"content": content, **body}, headers=someone.headers
        )

    async def post(self, someone: Someone, content: str = "hello", **body: Any) -> dict[str, Any]:
        """Ask without waiting; returns the 202 body."""
        headers = {**someone.headers, "prefer": "respond-async"}
        reply = await self.client.post("/api/v1/requests/generic", json={"content": content, **body}, headers=headers)
        assert reply.status_code == 202, reply.text
        value: dict[str, Any] = reply.json()
        return value

    async def get(self, someone: Someone, path: str, **params: Any) -> httpx.Response:
        return await self.client.get(path, params=params, headers=someone.headers)


@dataclass
class Stage:
    """Several replicas may run on one database, with the same neighbours."""

    database_url: str
    agents: FakeAgents
    dispatcher: FakeDispatcher
    http: httpx.AsyncClient

    @asynccontextmanager
    async def replica(self, **settings: Any) -> AsyncIterator[Replica]:
        async with AsyncExitStack() as stack:
            app = create_app(self.settings(**settings), self.http)
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://rm.test", timeout=30)
            yield Replica(app, await stack.enter_async_context(client))

    def settings(self, **changed: Any) -> RequestManagerSettings:
        values = {
            "profile": "local",
            "database_url": self.database_url,
            "database_role": ROLE,
            "service_token_key": TOKEN_KEY,
            "agent_service_url": AGENTS_URL,
            "integration_dispatcher_url": DISPATCHER_URL,
            **changed,
        }
        return RequestManagerSettings(**values)

    async def person(self, name: str = "ana", role: Role = Role.USER) -> Someone:
        email = f"{name}@example.com"
        made = await ensure_person(self.database_url, Wanted(email, name.title(), role))
        return Someone(made.user_id, email, made.api_key)


@asynccontextmanager
async def stage(database_url: str, **neighbours: Any) -> AsyncIterator[Stage]:
    agents, dispatcher = FakeAgents(), FakeDispatcher()
    async with network(agents, dispatcher, **neighbours) as http:
        yield Stage(database_url, agents, dispatcher, http)


def service_headers(service: ServiceName = ServiceName.INTEGRATION_DISPATCHER) -> dict[str, str]:
    """The token with which another service calls request-manager."""
    return {"authorization": f"Bearer {ServiceTokens(TOKEN_KEY, service).make(ServiceName.REQUEST_MANAGER)}"}
