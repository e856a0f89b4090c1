"""Client of agent-service."""

from collections.abc import AsyncIterator
from uuid import UUID

from shared_models.schemas import (
    AgentResponse,
    AgentView,
    EndRun,
    KnowledgeBaseView,
    NormalizedRequest,
    Page,
    RunView,
    SessionMessage,
    SessionView,
)

from shared_clients.http import ServiceClient
from shared_clients.stream import ServerSentEvent, read_events

ANSWER_TIMEOUT_S = 40.0


class AgentServiceClient:
    """`token`: names the person on whose behalf a call is made; without it the service calls for itself."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def alive(self) -> None:
        """Raises UpstreamUnavailable when nobody answers."""
        await self._client.call("GET", "/livez", tries=1, timeout_s=2.0)

    async def answer(self, request: NormalizedRequest) -> AgentResponse | None:
        """Hand a request over and wait up to 25 s for its answer; None: not ended yet, ask again with the same request."""
        body = request.model_dump_json().encode()
        reply = await self._client.call("POST", "/api/v1/answers", body=body, timeout_s=ANSWER_TIMEOUT_S, tries=1)
        return None if reply.status_code == 202 else AgentResponse.read_json(reply.content)

    async def end_run(self, end: EndRun) -> RunView:
        """Ask for an end of a run. The view tells what it came to: an ended run keeps its end."""
        path = f"/api/v1/runs/{end.request.request_id}/end"
        reply = await self._client.call("POST", path, body=end.model_dump_json().encode())
        return RunView.read_json(reply.content)

    async def run(self, request_id: UUID) -> RunView:
        reply = await self._client.call("GET", f"/api/v1/runs/{request_id}")
        return RunView.read_json(reply.content)

    async def run_events(self, request_id: UUID, last_event_id: str = "") -> AsyncIterator[ServerSentEvent]:
        headers = {"last-event-id": last_event_id} if last_event_id else {}
        async with self._client.stream(f"/api/v1/runs/{request_id}/events", headers=headers) as reply:
            async for event in read_events(reply):
                yield event

    async def sessions(
        self, user_id: UUID, *, cursor: str = "", limit: int = 20, token: str | None = None
    ) -> Page[SessionView]:
        params: dict[str, str | int] = {"user_id": str(user_id), "limit": limit, "cursor": cursor}
        reply = await self._client.call("GET", "/api/v1/sessions", params=params, token=token)
        return Page[SessionView].read_json(reply.content)

    async def session(self, session_id: UUID, *, token: str | None = None) -> SessionView:
        reply = await self._client.call("GET", f"/api/v1/sessions/{session_id}", token=token)
        return SessionView.read_json(reply.content)

    async def messages(
        self, session_id: UUID, *, cursor: str = "", limit: int = 50, token: str | None = None
    ) -> Page[SessionMessage]:
        params: dict[str, str | int] = {"limit": limit, "cursor": cursor}
        reply = await self._client.call("GET", f"/api/v1/sessions/{session_id}/messages", params=params, token=token)
        return Page[SessionMessage].read_json(reply.content)

    async def rename_session(self, session_id: UUID, title_json: bytes, *, token: str | None = None) -> SessionView:
        """`title_json`: {"title": text}."""
        reply = await self._client.call("PATCH", f"/api/v1/sessions/{session_id}", body=title_json, token=token)
        return SessionView.read_json(reply.content)

    async def close_session(self, session_id: UUID) -> SessionView:
        reply = await self._client.call("POST", f"/api/v1/sessions/{session_id}/close")
        return SessionView.read_json(reply.content)

    async def agents(self) -> list[AgentView]:
        reply = await self._client.call("GET", "/api/v1/agents")
        return Page[AgentView].read_json(reply.content).items

    async def knowledge_bases(self) -> list[KnowledgeBaseView]:
        reply = await self._client.call("GET", "/api/v1/knowledge-bases")
        return Page[KnowledgeBaseView].read_json(reply.content).items
