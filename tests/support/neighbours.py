"""request-manager's neighbours as it sees them over HTTP: an agent-service and a dispatcher that do as they are told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import orjson
from shared_models import answers
from shared_models.enums import RequestStatus, SessionStatus
from shared_models.events import CloudEvent, parse_http
from shared_models.schemas import (
    AgentRef,
    AgentResponse,
    EndRun,
    ErrorInfo,
    NormalizedRequest,
    ResponseContent,
    RunView,
    SessionView,
)

AGENTS_URL = "http://agents.test"
DISPATCHER_URL = "http://dispatcher.test"


def answer_to(
    request: NormalizedRequest,
    content: str = "",
    *,
    status: RequestStatus = RequestStatus.COMPLETED,
    error: ErrorInfo | None = None,
    session_ended: bool = False,
) -> AgentResponse:
    response = None
    if status is RequestStatus.COMPLETED:
        agent = AgentRef(name="routing-agent", version="1")
        response = ResponseContent(content=content or f"You said: {request.content}", agent=agent)
    ended_at = datetime.now(UTC)
    return answers.answer_to(request, status, ended_at, response=response, error=error, session_ended=session_ended)


@dataclass
class Events(httpx.AsyncByteStream):
    """A stream of server-sent events, one chunk per item; it ends, or `breaks`, when `items` says None."""

    items: "asyncio.Queue[bytes | None]" = field(default_factory=asyncio.Queue)
    breaks: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self.items.get()) is not None:
            yield chunk
        if self.breaks:
            raise httpx.ReadError("the connection was cut")


@dataclass
class FakeAgents:
    """`is_away`: nobody answers. `holds`: runs do not end until `finish`. Requests are answered by `say`."""

    is_away: bool = False
    holds: bool = False
    refuses: int = 0
    say: Callable[[NormalizedRequest], AgentResponse] = answer_to
    asked: list[NormalizedRequest] = field(default_factory=list)
    ended: list[EndRun] = field(default_factory=list)
    answers: dict[UUID, AgentResponse] = field(default_factory=dict)
    closed: list[UUID] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    streams: dict[UUID, Events] = field(default_factory=dict)
    resumed_after: list[str] = field(default_factory=list)
    sessions: dict[UUID, SessionView] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    patience_s: float = 25.0

    async def handle(self, request: httpx.Request) -> httpx.Response:
        if self.is_away:
            raise httpx.ConnectError("nobody listens", request=request)
        self.tokens.append(request.headers.get("authorization", ""))
        path = request.url.path
        if path == "/api/v1/answers":
            return await self._answers(NormalizedRequest.model_validate_json(request.content))
        if path.startswith("/api/v1/runs/"):
            return self._runs(request, UUID(path.split("/")[4]), path.rsplit("/", 1)[1])
        if path.startswith("/api/v1/sessions"):
            return self._sessions(request, path)
        return _json(200, {"items": []})

    def finish(self, request_id: UUID, answer: AgentResponse | None = None) -> None:
        request = next(asked for asked in self.asked if asked.request_id == request_id)
        self.answers.setdefault(request_id, answer or self.say(request))
        self._change()

    def finish_all(self) -> None:
        self.holds = False
        self._change()

    async def _answers(self, request: NormalizedRequest) -> httpx.Response:
        if self.refuses:
            return httpx.Response(self.refuses)
        if request.request_id not in {asked.request_id for asked in self.asked}:
            self.asked.append(request)
        give_up_at = asyncio.get_running_loop().time() + self.patience_s
        while self.holds and request.request_id not in self.answers:
            left_s = give_up_at - asyncio.get_running_loop().time()
            if left_s <= 0:
                return httpx.Response(202)
            changed = self.changed
            await asyncio.wait([asyncio.ensure_future(changed.wait())], timeout=left_s)
        answer = self.answers.setdefault(request.request_id, self.say(request))
        return httpx.Response(200, content=answer.model_dump_json())

    def _runs(self, request: httpx.Request, request_id: UUID, what: str) -> httpx.Response:
        if what == "events":
            return self._events(request, request_id)
        if request.method == "GET":
            return self._run(request_id)
        end = EndRun.model_validate_json(request.content)
        self.ended.append(end)
        answer = self.answers.setdefault(request_id, answer_to(end.request, status=end.status, error=end.error))
        self._change()
        view = RunView(request_id=request_id, session_id=answer.session_id, status=answer.status, answer=answer)
        return httpx.Response(200, content=view.model_dump_json())

    def _run(self, request_id: UUID) -> httpx.Response:
        asked = next((asked for asked in self.asked if asked.request_id == request_id), None)
        if asked is None:
            return httpx.Response(404)
        answer = self.answers.get(request_id)
        status = answer.status if answer is not None else RequestStatus.PROCESSING
        view = RunView(request_id=request_id, session_id=asked.session_id, status=status, answer=answer)
        return httpx.Response(200, content=view.model_dump_json())

    def _events(self, request: httpx.Request, request_id: UUID) -> httpx.Response:
        stream = self.streams.get(request_id)
        if stream is None:
            return httpx.Response(404)
        self.resumed_after.append(request.headers.get("last-event-id", ""))
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=stream)

    def _sessions(self, request: httpx.Request, path: str) -> httpx.Response:
        if path == "/api/v1/sessions":
            items = [view.model_dump(mode="json") for view in self.sessions.values()]
            return _json(200, {"items": items, "next_cursor": None})
        session_id = UUID(path.split("/")[4])
        if path.endswith("/close"):
            self.closed.append(session_id)
        view = self.sessions.get(session_id)
        if view is None:
            return httpx.Response(404)
        if request.method == "PATCH":
            view = view.model_copy(update={"title": orjson.loads(request.content)["title"]})
            self.sessions[session_id] = view
        if path.endswith("/close"):
            view = view.model_copy(update={"status": SessionStatus.CLOSED})
        if path.endswith("/messages"):
            return _json(200, {"items": [], "next_cursor": None})
        return httpx.Response(200, content=view.model_dump_json())

    def _change(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


@dataclass
class FakeDispatcher:
    is_away: bool = False
    told: list[AgentResponse] = field(default_factory=list)
    events: list[CloudEvent] = field(default_factory=list)
    calls: list[httpx.Request] = field(default_factory=list)
    reply: Callable[[httpx.Request], httpx.Response] = lambda _request: _json(200, {"items": []})

    async def handle(self, request: httpx.Request) -> httpx.Response:
        if self.is_away:
            raise httpx.ConnectError("nobody listens", request=request)
        if request.method == "POST" and request.url.path == "/api/v1/deliveries":
            self.told.append(AgentResponse.model_validate_json(request.content))
            return httpx.Response(202)
        if request.url.path == "/events":
            self.events.append(parse_http(dict(request.headers), request.content))
            return httpx.Response(202)
        self.calls.append(request)
        return self.reply(request)


def network(
    agents: FakeAgents, dispatcher: FakeDispatcher, others: Callable[[httpx.Request], Any] | None = None
) -> httpx.AsyncClient:
    """The client that request-manager gets instead of the real network."""

    async def handle(request: httpx.Request) -> httpx.Response:
        origin = f"{request.url.scheme}://{request.url.host}"
        if origin == AGENTS_URL:
            return await agents.handle(request)
        if origin == DISPATCHER_URL:
            return await dispatcher.handle(request)
        if others is None:
            raise httpx.ConnectError(f"nobody is at {origin}", request=request)
        reply: httpx.Response = await others(request)
        return reply

    return httpx.AsyncClient(transport=httpx.MockTransport(handle))


def _json(status: int, value: object) -> httpx.Response:
    return httpx.Response(status, content=orjson.dumps(value), headers={"content-type": "application/json"})
