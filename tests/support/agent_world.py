"""agent-service on real PostgreSQL with a scripted model, tools and knowledge; request-manager is played by the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from agent_service.app import create_app
from agent_service.domain.agents import AgentCatalogue, AgentDefinition, AgentLimits
from agent_service.outside import Outside
from agent_service.parts import Parts
from agent_service.settings import Settings
from fastapi import FastAPI
from pydantic import SecretStr
from shared_models.enums import IntegrationType, RequestStatus, ServiceName
from shared_models.events import CloudEvent, EventBuilder, parse_http
from shared_models.ids import new_id
from shared_models.schemas import (
    AgentResponse,
    ConfirmDecision,
    EndRun,
    ErrorInfo,
    NormalizedRequest,
    Person,
)
from shared_models.tokens import ServiceTokens, new_identity_key_pair

from tests.support.database import superuser
from tests.support.scripted_outside import TOOLS, ScriptedKnowledge, ScriptedModel, ScriptedTools, ServerCopies
from tests.support.waiting import eventually

KEY = "a-service-token-key-for-tests-0123456789"
SINK = "http://sink.test/events"
ANA = Person(user_id=UUID(int=0xA11A), email="ana@example.org", name="Ana Quist")
BEN = Person(user_id=UUID(int=0xBE11), email="ben@example.org", name="Ben Okafor")

type Json = dict[str, Any]


LIMITS = AgentLimits(model_calls=6, tool_calls=6, turn_s=20, model_call_s=10, tool_call_s=5)


ROUTER = AgentDefinition(
    name="routing-agent",
    version="r1",
    description="The first contact.",
    model="llm/test",
    instructions="You route.",
    knowledge_bases=["it-help"],
    handoffs=["laptop-refresh"],
    limits=LIMITS,
)


LAPTOP = AgentDefinition(
    name="laptop-refresh",
    version="l1",
    description="Replaces laptops.",
    model="llm/test",
    instructions="You replace laptops.",
    tools={"servicenow": [spec.name for spec in TOOLS]},
    knowledge_bases=["laptop-refresh"],
    handoffs=["routing-agent"],
    confirm={"open_laptop_refresh_ticket": "Open a laptop request for {laptop_code}."},
    limits=LIMITS,
)


@dataclass
class Sink:
    """Takes the service's own events. `is_away`: answers 503."""

    events: list[CloudEvent] = field(default_factory=list)
    is_away: bool = False

    def handle(self, request: httpx.Request) -> httpx.Response:
        if self.is_away:
            return httpx.Response(503)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.events.append(parse_http(headers, request.content))
        return httpx.Response(202)

    def of(self, kind: str) -> list[CloudEvent]:
        return [event for event in self.events if event.type.endswith(kind)]


@dataclass
class AgentWorld:
    """One database; any number of agent-service processes on it, of which `app` is the first."""

    database_url: str
    model: ScriptedModel = field(default_factory=ScriptedModel)
    tools: ScriptedTools = field(default_factory=ScriptedTools)
    knowledge: ScriptedKnowledge = field(default_factory=ScriptedKnowledge)
    copies: ServerCopies | None = None
    sink: Sink = field(default_factory=Sink)
    agents: tuple[AgentDefinition, ...] = (ROUTER, LAPTOP)
    sequences: dict[UUID, int] = field(default_factory=dict)
    tokens: ServiceTokens = field(default_factory=lambda: ServiceTokens(KEY, ServiceName.REQUEST_MANAGER))
    http: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)
    app: FastAPI = field(default_factory=FastAPI)

    @property
    def parts(self) -> Parts:
        parts: Parts = self.app.state.parts
        return parts

    def settings(self, **more: Any) -> Settings:
        given: dict[str, Any] = {
            "database_url": SecretStr(self.database_url),
            "database_role": "ssa_agent_service",
            "service_token_key": SecretStr(KEY),
            "identity_signing_key": SecretStr(new_identity_key_pair()[0]),
            "event_sink_url": SINK,
            "model_retry_base_s": 0.01,
        }
        return Settings(**{**given, **more})

    @asynccontextmanager
    async def process(self, **more: Any) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
        """One agent-service process, and a client that calls it."""
        outside = Outside(AgentCatalogue(self.agents), self.model, self.tools, self.knowledge, self.copies)
        async with httpx.AsyncClient(transport=httpx.MockTransport(self.sink.handle)) as outgoing:
            app = create_app(self.settings(**more), outgoing, outside)
            async with app.router.lifespan_context(app):
                transport = httpx.ASGITransport(app=app)
                async with httpx.AsyncClient(transport=transport, base_url="http://agents.test", timeout=60) as http:
                    yield app, http

    def request(
        self,
        content: str,
        *,
        session: UUID | None = None,
        person: Person = ANA,
        confirm: ConfirmDecision | None = None,
        **more: Any,
    ) -> NormalizedRequest:
        """A request as request-manager hands it over; the next of its session."""
        session_id = session or new_id()
        sequence = self.sequences.get(session_id, 0) + 1
        self.sequences[session_id] = sequence
        now = datetime.now(UTC)
        given: Json = {
            "request_id": new_id(),
            "session_id": session_id,
            "sequence": sequence,
            "person": person,
            "integration_type": IntegrationType.WEB,
            "content": content,
            "conversation_key": str(session_id),
            "named_session": session is not None,
            "confirm": confirm,
            "created_at": now,
            "deadline_at": now + timedelta(hours=24),
        }
        return NormalizedRequest(**{**given, **more})

    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens.make(ServiceName.AGENT_SERVICE)}"}

    async def post(self, request: NormalizedRequest, http: httpx.AsyncClient | None = None) -> httpx.Response:
        headers = self.headers() | {"content-type": "application/json"}
        return await (http or self.http).post("/api/v1/answers", content=request.model_dump_json(), headers=headers)

    async def ask(self, content: str, **more: Any) -> AgentResponse:
        """Hand a request over and wait for its end."""
        return await self.answer_to(self.request(content, **more))

    async def answer_to(self, request: NormalizedRequest) -> AgentResponse:
        reply = await self.post(request)
        assert reply.status_code == 200, reply.text
        return AgentResponse.model_validate_json(reply.content)

    async def tell(self, request: NormalizedRequest) -> httpx.Response:
        """Hand a request over by event."""
        headers, body = EventBuilder(ServiceName.REQUEST_MANAGER).request_created(request).to_binary()
        return await self.http.post("/events", content=body, headers=headers | self.headers())

    async def end(
        self, request: NormalizedRequest, status: RequestStatus = RequestStatus.CANCELLED, code: str = "cancelled"
    ) -> httpx.Response:
        error = ErrorInfo(code=code, message="You cancelled this request.")
        body = EndRun.model_validate({"status": status, "error": error, "request": request}).model_dump_json()
        headers = self.headers() | {"content-type": "application/json"}
        return await self.http.post(f"/api/v1/runs/{request.request_id}/end", content=body, headers=headers)

    async def get(self, path: str) -> Json:
        reply = await self.http.get(path, headers=self.headers())
        assert reply.status_code == 200, reply.text
        found: Json = reply.json()
        return found

    async def sql(self, statement: str, *args: object) -> list[asyncpg.Record]:
        """As superuser, beside the service."""
        async with superuser(self.database_url) as connection:
            return list(await connection.fetch(statement, *args))

    async def state(self, request: NormalizedRequest) -> str | None:
        rows = await self.sql("select state from agent_runs where request_id = $1", request.request_id)
        return rows[0]["state"] if rows else None

    async def until_state(self, request: NormalizedRequest, *states: str) -> None:
        async def reached() -> bool:
            return await self.state(request) in states

        await eventually(reached)

    async def until_model_was_asked(self, times: int = 1) -> None:
        async def asked() -> bool:
            return len(self.model.seen) >= times

        await eventually(asked)


@asynccontextmanager
async def agent_world(database_url: str, world: AgentWorld | None = None, **more: Any) -> AsyncIterator[AgentWorld]:
    """A started agent-service. `more`: settings."""
    made = world or AgentWorld(database_url)
    async with made.process(**more) as (app, http):
        made.app, made.http = app, http
        yield made
