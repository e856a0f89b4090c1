"""Conversations: request-manager keeps owner and state, agent-service the rest."""

from uuid import UUID

from fastapi import APIRouter
from shared_models.api import TitleBody
from shared_models.enums import ServiceName, SessionStatus
from shared_models.errors import Conflict, UpstreamRejected
from shared_models.schemas import Page, SessionMessage, SessionView

from request_manager.domain.callers import Caller
from request_manager.parts import Parts
from request_manager.routes.access import own_conversation
from request_manager.routes.dependencies import (
    EVERY_PERSON,
    CursorDep,
    LimitDep,
    PartsDep,
    SessionsDep,
    callers,
    problems,
)
from request_manager.store import sessions as store
from request_manager.store.sessions import Conversation

NOT_FOUND = 404

router = APIRouter(prefix="/api/v1/sessions", tags=["sessions"])


@router.get("", responses=problems(403, 422), openapi_extra=callers(*EVERY_PERSON))
async def list_sessions(
    caller: SessionsDep, parts: PartsDep, cursor: CursorDep = "", limit: LimitDep = 20
) -> Page[SessionView]:
    """Your conversations, the newest first."""
    me = caller.me.user_id
    page = await parts.agents.sessions(me, cursor=cursor, limit=limit, token=_token(parts, caller))
    states = await store.states(parts.database, [item.session_id for item in page.items], me)
    own = [item for item in page.items if item.session_id in states]
    return page.model_copy(update={"items": [_with_state(item, states[item.session_id]) for item in own]})


@router.get("/{session_id}", responses=problems(403, 404, 422), openapi_extra=callers("own"))
async def read_session(session_id: UUID, caller: SessionsDep, parts: PartsDep) -> SessionView:
    return await _view(parts, caller, await own_conversation(parts, caller, session_id))


@router.get("/{session_id}/messages", responses=problems(403, 404, 422), openapi_extra=callers("own"))
async def read_messages(
    session_id: UUID, caller: SessionsDep, parts: PartsDep, cursor: CursorDep = "", limit: LimitDep = 50
) -> Page[SessionMessage]:
    await own_conversation(parts, caller, session_id)
    try:
        return await parts.agents.messages(session_id, cursor=cursor, limit=limit, token=_token(parts, caller))
    except UpstreamRejected as exc:
        if exc.upstream_status != NOT_FOUND:
            raise
        return Page(items=[])


@router.patch("/{session_id}", responses=problems(400, 403, 404, 409, 422), openapi_extra=callers("own"))
async def rename_session(session_id: UUID, body: TitleBody, caller: SessionsDep, parts: PartsDep) -> SessionView:
    found = await own_conversation(parts, caller, session_id)
    try:
        title = body.model_dump_json().encode()
        view = await parts.agents.rename_session(session_id, title, token=_token(parts, caller))
    except UpstreamRejected as exc:
        if exc.upstream_status != NOT_FOUND:
            raise
        raise Conflict("The conversation has not begun yet.") from exc
    return _with_state(view, found.status)


@router.post("/{session_id}/close", responses=problems(403, 404, 422), openapi_extra=callers("own"))
async def close_session(session_id: UUID, caller: SessionsDep, parts: PartsDep) -> SessionView:
    """Take no more requests. `closing`: what is under way is being ended first."""
    await own_conversation(parts, caller, session_id)
    await parts.ends.close_session(session_id)
    found = await own_conversation(parts, caller, session_id)
    return _of(found)


async def _view(parts: Parts, caller: Caller, found: Conversation) -> SessionView:
    """agent-service's view with our state; our own view before the first run has reached it."""
    try:
        view = await parts.agents.session(found.session_id, token=_token(parts, caller))
    except UpstreamRejected as exc:
        if exc.upstream_status != NOT_FOUND:
            raise
        return _of(found)
    return _with_state(view, found.status)


def _token(parts: Parts, caller: Caller) -> str:
    return parts.tokens.make(ServiceName.AGENT_SERVICE, caller.acting)


def _with_state(view: SessionView, status: SessionStatus) -> SessionView:
    return view if view.status is status else view.model_copy(update={"status": status})


def _of(found: Conversation) -> SessionView:
    return SessionView(
        session_id=found.session_id,
        user_id=found.user_id,
        integration_type=found.integration_type,
        conversation_key=found.key,
        status=found.status,
        request_count=found.request_count,
        last_request_at=found.last_request_at,
        created_at=found.created_at,
        expires_at=found.expires_at,
    )
