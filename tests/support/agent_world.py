"""agent-service on real PostgreSQL with a scripted model, tools and knowledge; request-manager is played by the test."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import orjson
from agent_service.app import create_app
from agent_service.domain.agents import AgentCatalogue, AgentDefinition, AgentLimits
from agent_service.domain.ports import Item, ModelCall, ModelReply, Passage, ToolCall, ToolResult, ToolSpec
from agent_service.errors import ConversationLost, ToolServerUnavailable
from agent_service.outside import Outside
from agent_service.parts import Parts
from agent_service.settings import Settings
from fastapi import FastAPI
from pydantic import SecretStr
from shared_models.database import asyncpg_url
from shared_models.enums import IntegrationType, RequestStatus, ServiceName
from shared_models.events import CloudEvent, EventBuilder, parse_http
from shared_models.ids import new_id
from shared_models.schemas import (
    AgentResponse,
    ConfirmDecision,
    EndRun,
    ErrorInfo,
    KnowledgeBaseView,
    NormalizedRequest,
    Person,
)
from shared_models.tokens import Identity, ServiceTokens, new_identity_key_pair

from tests.support.waiting import eventually

KEY = "a-service-token-key-for-tests-0123456789"
SINK = "http://sink.test/events"
ANA = Person(user_id=UUID(int=0xA11A), email="ana@example.org", name="Ana Quist")
BEN = Person(user_id=UUID(int=0xBE11), email="ben@example.org", name="Ben Okafor")

type Json = dict[str, Any]
type Scripted = ModelReply | Exception | BreaksOff | Callable[[ModelCall], ModelReply]


def says(text: str, **more: Any) -> ModelReply:
    return ModelReply(text, input_tokens=10, output_tokens=5, **more)


def calls(*pairs: tuple[str, Any], text: str = "") -> ModelReply:
    """Tool calls; arguments as a dict, or as the raw text that a model may send."""
    made = [
        ToolCall(f"call_{at}", name, given if isinstance(given, str) else orjson.dumps(given).decode())
        for at, (name, given) in enumerate(pairs)
    ]
    return ModelReply(text, made, input_tokens=10, output_tokens=5)


@dataclass(frozen=True)
class BreaksOff:
    """Some text, if it is streamed, and then an error."""

    text: str
    error: Exception


@dataclass
class ScriptedModel:
    """Replies from `script`, then `always`. `hold` makes every call wait, or only the call number `at`."""

    script: deque[Scripted] = field(default_factory=deque)
    always: Scripted = field(default_factory=lambda: says("Hello from the model."))
    seen: list[ModelCall] = field(default_factory=list)
    gate: asyncio.Event | None = None
    held_at: int = 0

    def will(self, *replies: Scripted) -> None:
        self.script.extend(replies)

    def hold(self, at: int = 0) -> None:
        self.gate, self.held_at = asyncio.Event(), at

    def release(self) -> None:
        if self.gate is not None:
            self.gate.set()
            self.gate = None

    async def respond(self, call: ModelCall) -> ModelReply:
        self.seen.append(call)
        if self.gate is not None and self.held_at in (0, len(self.seen)):
            await self.gate.wait()
        reply = self.script.popleft() if self.script else self.always
        if isinstance(reply, Exception):
            raise reply
        if callable(reply):
            reply = reply(call)
        if call.on_delta is not None:
            for word in reply.text.split(" "):
                await call.on_delta(word + " ")
        if isinstance(reply, BreaksOff):
            raise reply.error
        return reply


@dataclass(frozen=True)
class Called:
    server: str
    tool: str
    arguments: Json
    identity: Identity


def tool(name: str, *required: str, optional: Sequence[str] = (), is_read_only: bool = True) -> ToolSpec:
    properties = {each: {"type": "string"} for each in (*required, *optional)}
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return ToolSpec(name, f"The tool {name}.", schema, is_read_only)


TOOLS = (
    tool("find_my_laptops"),
    tool("check_laptop_eligibility", optional=["serial_number"]),
    tool("open_laptop_refresh_ticket", "laptop_code", optional=["business_justification"], is_read_only=False),
    tool("note_something", "text", is_read_only=False),
)


@dataclass
class ScriptedTools:
    """`answers`: tool → text, an Exception to raise, or a function of the arguments. `is_down`: the server is away."""

    answers: dict[str, Any] = field(default_factory=dict)
    called: list[Called] = field(default_factory=list)
    is_down: bool = False
    gate: asyncio.Event | None = None
    at_once: int = 0
    most_at_once: int = 0

    async def specs(self, server: str) -> list[ToolSpec]:
        if self.is_down:
            raise ToolServerUnavailable(f"{server}: connection refused")
        return list(TOOLS)

    async def call(self, server: str, tool: str, arguments: Json, identity: Identity, timeout_s: float) -> ToolResult:
        self.called.append(Called(server, tool, arguments, identity))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                await self.gate.wait()
            answer = self.answers.get(tool, "{}")
            if isinstance(answer, Exception):
                raise answer
            answer = answer(arguments) if callable(answer) else answer
            return answer if isinstance(answer, ToolResult) else ToolResult(answer)
        finally:
            self.at_once -= 1

    @property
    def names(self) -> list[str]:
        return [each.tool for each in self.called]


@dataclass
class ScriptedKnowledge:
    passages: list[Passage] = field(default_factory=list)
    asked: list[tuple[list[str], str]] = field(default_factory=list)
    failure: Exception | None = None

    async def search(self, bases: Sequence[str], query: str, limit: int) -> list[Passage]:
        self.asked.append((list(bases), query))
        if self.failure is not None:
            raise self.failure
        return self.passages[:limit]

    async def list_bases(self) -> list[KnowledgeBaseView]:
        return [KnowledgeBaseView(name="it-help", documents=1, chunks=2, model="m")]


@dataclass
class ServerCopies:
    """The model server's conversations. `failure` is raised by every call."""

    held: dict[str, list[Item]] = field(default_factory=dict)
    failure: Exception | None = None

    async def create(self, items: Sequence[Item]) -> str:
        if self.failure is not None:
            raise self.failure
        conversation_id = f"conv_{len(self.held)}"
        self.held[conversation_id] = list(items)
        return conversation_id

    async def append(self, conversation_id: str, items: Sequence[Item]) -> None:
        if self.failure is not None:
            raise self.failure
        if conversation_id not in self.held:
            raise ConversationLost
        self.held[conversation_id] += items


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
        connection = await asyncpg.connect(asyncpg_url(self.database_url))
        try:
            return list(await connection.fetch(statement, *args))
        finally:
            await connection.close()

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
