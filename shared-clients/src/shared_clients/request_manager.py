"""Client of request-manager's public API, for the command line (a person's token) and integration-dispatcher (its own)."""

from collections.abc import AsyncIterator
from urllib.parse import quote
from uuid import UUID

import orjson
from pydantic import JsonValue
from shared_models.api import (
    ApiKeyBody,
    ApiKeyView,
    FeedbackBody,
    FeedbackView,
    NewApiKey,
    RequestAccepted,
    RequestBody,
    RequestDetail,
    RequestItem,
    RequestState,
    ResolveBody,
    TitleBody,
    UserView,
)
from shared_models.ids import new_id
from shared_models.operations import (
    DeadLetterDetail,
    DeadLetterPage,
    DeadLetterQuery,
    Replayed,
    ReplayFilter,
    ReplayResult,
)
from shared_models.schemas import (
    AgentView,
    KnowledgeBaseView,
    Page,
    RequestResult,
    SessionMessage,
    SessionView,
)

from shared_clients.http import DEFAULT_TIMEOUT_S, ServiceClient
from shared_clients.stream import ServerSentEvent, read_events

SYNC_WAIT_S = 25.0
REPLAY_TIMEOUT_S = 60.0


class RequestManagerClient:
    """Raises UpstreamUnavailable and UpstreamRejected as ServiceClient does; `user` is a user id or `me`."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def create_request(
        self, entry: str, body: RequestBody, *, wait_s: float = SYNC_WAIT_S, idempotency_key: str = ""
    ) -> RequestResult | RequestAccepted:
        """Ask by `entry` (web, cli, tool, generic, slack, email). `wait_s` 0: do not wait for the answer.

        Repeating is safe: without a given key one is made for this call."""
        content = body.model_dump_json(exclude_defaults=True).encode()
        return await self._ask(f"/api/v1/requests/{entry}", content, wait_s, idempotency_key)

    async def retry(
        self, request_id: UUID, *, wait_s: float = SYNC_WAIT_S, idempotency_key: str = ""
    ) -> RequestResult | RequestAccepted:
        """Ask an ended request's question again, as a new request."""
        return await self._ask(f"/api/v1/requests/{request_id}/retry", None, wait_s, idempotency_key)

    async def _ask(
        self, path: str, body: bytes | None, wait_s: float, idempotency_key: str
    ) -> RequestResult | RequestAccepted:
        headers = {
            "prefer": f"wait={round(wait_s)}" if wait_s > 0 else "respond-async",
            "idempotency-key": idempotency_key or new_id().hex,
        }
        timeout_s = wait_s + DEFAULT_TIMEOUT_S
        reply = await self._client.call("POST", path, body=body, headers=headers, timeout_s=timeout_s)
        if reply.status_code == 202:
            return RequestAccepted.read_json(reply.content)
        return RequestResult.read_json(reply.content)

    async def requests(
        self, *, cursor: str = "", limit: int = 20, status: str = "", session_id: UUID | None = None
    ) -> Page[RequestItem]:
        params: dict[str, str | int] = {"limit": limit}
        if session_id is not None:
            params["session_id"] = str(session_id)
        params |= {name: value for name, value in (("cursor", cursor), ("status", status)) if value}
        reply = await self._client.call("GET", "/api/v1/requests", params=params)
        return Page[RequestItem].read_json(reply.content)

    async def request(self, request_id: UUID) -> RequestDetail:
        reply = await self._client.call("GET", f"/api/v1/requests/{request_id}")
        return RequestDetail.read_json(reply.content)

    async def status(self, request_id: UUID, *, wait_s: int = 0) -> RequestState:
        """The state; with `wait_s` as soon as the request has ended, or when that time is over."""
        path, timeout_s = f"/api/v1/requests/{request_id}/status", wait_s + DEFAULT_TIMEOUT_S
        reply = await self._client.call("GET", path, params={"wait": wait_s}, timeout_s=timeout_s)
        return RequestState.read_json(reply.content)

    async def result(self, request_id: UUID, *, wait_s: int = 0) -> RequestResult | None:
        """The result; None while the request goes on."""
        path, timeout_s = f"/api/v1/requests/{request_id}/result", wait_s + DEFAULT_TIMEOUT_S
        reply = await self._client.call("GET", path, params={"wait": wait_s}, timeout_s=timeout_s)
        return None if reply.status_code == 202 else RequestResult.read_json(reply.content)

    async def events(self, request_id: UUID, last_event_id: str = "") -> AsyncIterator[ServerSentEvent]:
        """What happens in a request: status, delta, tool, confirm, reset; the last one is `answer` or `error`.

        The data of those two is a RequestResult. After a cut, call again with the id of the last event."""
        headers = {"last-event-id": last_event_id} if last_event_id else {}
        async with self._client.stream(f"/api/v1/requests/{request_id}/events", headers=headers) as reply:
            async for event in read_events(reply):
                yield event

    async def cancel(self, request_id: UUID) -> RequestState:
        """Ask for an end. The state tells what it came to, or that the cancel is under way."""
        reply = await self._client.call("POST", f"/api/v1/requests/{request_id}/cancel")
        return RequestState.read_json(reply.content)

    async def feedback(self, request_id: UUID, body: FeedbackBody) -> FeedbackView:
        path = f"/api/v1/requests/{request_id}/feedback"
        reply = await self._client.call("POST", path, body=body.model_dump_json().encode())
        return FeedbackView.read_json(reply.content)

    async def sessions(self, *, cursor: str = "", limit: int = 20) -> Page[SessionView]:
        reply = await self._client.call("GET", "/api/v1/sessions", params=_page(cursor, limit))
        return Page[SessionView].read_json(reply.content)

    async def session(self, session_id: UUID) -> SessionView:
        reply = await self._client.call("GET", f"/api/v1/sessions/{session_id}")
        return SessionView.read_json(reply.content)

    async def messages(self, session_id: UUID, *, cursor: str = "", limit: int = 50) -> Page[SessionMessage]:
        path = f"/api/v1/sessions/{session_id}/messages"
        reply = await self._client.call("GET", path, params=_page(cursor, limit))
        return Page[SessionMessage].read_json(reply.content)

    async def rename_session(self, session_id: UUID, title: str) -> SessionView:
        body = TitleBody(title=title).model_dump_json().encode()
        reply = await self._client.call("PATCH", f"/api/v1/sessions/{session_id}", body=body)
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

    async def me(self) -> UserView:
        reply = await self._client.call("GET", "/api/v1/users/me")
        return UserView.read_json(reply.content)

    async def resolve(self, body: ResolveBody) -> UserView:
        """Services only: the person behind an external id. UpstreamRejected with status 404 when nobody is known."""
        reply = await self._client.call("POST", "/api/v1/users/resolve", body=body.model_dump_json().encode())
        return UserView.read_json(reply.content)

    async def api_keys(self, *, cursor: str = "", limit: int = 100) -> Page[ApiKeyView]:
        reply = await self._client.call("GET", "/api/v1/api-keys", params=_page(cursor, limit))
        return Page[ApiKeyView].read_json(reply.content)

    async def create_api_key(self, body: ApiKeyBody) -> NewApiKey:
        """The only time the key itself is shown. Not tried again by itself, so that no unseen key is left behind."""
        content = body.model_dump_json().encode()
        reply = await self._client.call("POST", "/api/v1/api-keys", body=content, tries=1)
        return NewApiKey.read_json(reply.content)

    async def revoke_api_key(self, key_id: UUID) -> None:
        await self._client.call("DELETE", f"/api/v1/api-keys/{key_id}")

    async def dead_letters(self, wanted: DeadLetterQuery) -> DeadLetterPage:
        """Operators: what was given up, in all services."""
        params = wanted.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        reply = await self._client.call("GET", "/api/v1/dead-letters", params=params)
        return DeadLetterPage.model_validate_json(reply.content)

    async def dead_letter(self, letter_id: str) -> DeadLetterDetail:
        reply = await self._client.call("GET", f"/api/v1/dead-letters/{quote(letter_id, safe='')}")
        return DeadLetterDetail.model_validate_json(reply.content)

    async def replay_dead_letter(self, letter_id: str) -> Replayed:
        """Not tried again by itself: what was replayed is not there any more."""
        path = f"/api/v1/dead-letters/{quote(letter_id, safe='')}/replay"
        return Replayed.model_validate_json((await self._client.call("POST", path, tries=1)).content)

    async def replay_dead_letters(self, wanted: ReplayFilter) -> ReplayResult:
        body = wanted.model_dump_json(exclude_defaults=True).encode()
        path, timeout_s = "/api/v1/dead-letters/replay", REPLAY_TIMEOUT_S
        reply = await self._client.call("POST", path, body=body, timeout_s=timeout_s, tries=1)
        return ReplayResult.model_validate_json(reply.content)

    async def discard_dead_letter(self, letter_id: str) -> None:
        await self._client.call("DELETE", f"/api/v1/dead-letters/{quote(letter_id, safe='')}", tries=1)

    async def deliveries(self, user: str = "me", *, cursor: str = "", limit: int = 20) -> JsonValue:
        return await self._json("GET", f"/api/v1/users/{user}/deliveries", params=_page(cursor, limit))

    async def delivery_attempts(self, delivery_id: UUID) -> JsonValue:
        return await self._json("GET", f"/api/v1/deliveries/{delivery_id}/attempts")

    async def replay_delivery(self, delivery_id: UUID) -> JsonValue:
        return await self._json("POST", f"/api/v1/deliveries/{delivery_id}/replay")

    async def integrations(self, user: str = "me") -> JsonValue:
        """What the person has changed."""
        return await self._json("GET", f"/api/v1/users/{user}/integrations")

    async def effective_integrations(self, user: str = "me") -> JsonValue:
        """What holds for the person: base defaults, the administrator's rows, the person's own changes."""
        return await self._json("GET", f"/api/v1/users/{user}/integration-defaults")

    async def set_integration(self, integration: str, settings: dict[str, JsonValue], user: str = "me") -> JsonValue:
        """Change one integration for the person: enabled, priority, config, retry_count, retry_delay_seconds."""
        return await self._json("PUT", f"/api/v1/users/{user}/integrations/{integration}", settings)

    async def verify_integration(self, integration: str, code: str) -> JsonValue:
        """Prove with the code that came there that an address is one's own."""
        return await self._json("POST", f"/api/v1/users/me/integrations/{integration}/verify", {"code": code})

    async def send_verification_code(self, integration: str) -> JsonValue:
        return await self._json("POST", f"/api/v1/users/me/integrations/{integration}/verify/send")

    async def remove_integration(self, integration: str, user: str = "me") -> None:
        """Drop the person's own change of one integration."""
        await self._client.call("DELETE", f"/api/v1/users/{user}/integrations/{integration}")

    async def reset_integrations(self, user: str = "me") -> JsonValue:
        """Drop all of the person's own changes."""
        return await self._json("POST", f"/api/v1/users/{user}/integration-defaults/reset")

    async def integration_defaults(self) -> JsonValue:
        return await self._json("GET", "/api/v1/integration-defaults")

    async def integration_health(self) -> JsonValue:
        """Operators: whether each integration's account at its provider works."""
        return await self._json("GET", "/api/v1/integration-health")

    async def resume_integration(self, integration: str) -> JsonValue:
        """Operators: the account works again, try what waits."""
        return await self._json("POST", f"/api/v1/integration-health/{integration}/resume")

    async def set_integration_default(self, integration: str, settings: dict[str, JsonValue]) -> JsonValue:
        """Administrators: change the default of one integration for everybody."""
        return await self._json("PUT", f"/api/v1/integration-defaults/{integration}", settings)

    async def _json(
        self,
        method: str,
        path: str,
        body: dict[str, JsonValue] | None = None,
        *,
        params: dict[str, str | int] | None = None,
    ) -> JsonValue:
        """Passed on from integration-dispatcher as it stands; None for an empty reply."""
        content = None if body is None else orjson.dumps(body)
        reply = await self._client.call(method, path, body=content, params=params)
        value: JsonValue = orjson.loads(reply.content) if reply.content else None
        return value


def _page(cursor: str, limit: int) -> dict[str, str | int]:
    return {"limit": limit, "cursor": cursor} if cursor else {"limit": limit}
