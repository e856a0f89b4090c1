"""Sessions: list, read, rename, close. Made by their first run; request-manager keeps who may continue them."""

import base64
import binascii
from typing import Annotated
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Query
from pydantic import Field
from shared_models.errors import InvalidRequest, NotFound
from shared_models.schemas import Message, Metadata, Page, SessionMessage, SessionView

from agent_service.parts import Parts
from agent_service.routes.dependencies import (
    CALLERS,
    CallerDep,
    CursorDep,
    LimitDep,
    PartsDep,
    bad_cursor,
    need_own,
    problems,
)
from agent_service.store import sessions
from agent_service.store.sessions import MessagePlace

LAST_ID = UUID(int=2**128 - 1)
BEFORE_ALL: MessagePlace = (-1, UUID(int=0), False)

router = APIRouter(prefix="/api/v1/sessions", tags=["sessions"])


class SessionChange(Message):
    """What is left out stays as it is."""

    title: str | None = Field(default=None, min_length=1, max_length=200)
    user_context: Metadata | None = None


@router.get("", responses=problems(404, 422), openapi_extra=CALLERS)
async def list_sessions(
    user_id: Annotated[UUID, Query()], parts: PartsDep, caller: CallerDep, cursor: CursorDep = "", limit: LimitDep = 20
) -> Page[SessionView]:
    """A person's sessions, the newest first."""
    need_own(caller, user_id)
    try:
        before = UUID(hex=cursor) if cursor else LAST_ID
    except ValueError as exc:
        raise bad_cursor() from exc
    rows = await sessions.list_of(parts.database, user_id, before, limit + 1)
    items = [sessions.view_of(row, now=parts.processor.now()) for row in rows[:limit]]
    return Page(items=items, next_cursor=items[-1].session_id.hex if len(rows) > limit else None)


@router.get("/{session_id}", responses=problems(404), openapi_extra=CALLERS)
async def read_session(session_id: UUID, parts: PartsDep, caller: CallerDep) -> SessionView:
    return await view(parts, caller, session_id)


@router.get("/{session_id}/messages", responses=problems(404, 422), openapi_extra=CALLERS)
async def read_messages(
    session_id: UUID, parts: PartsDep, caller: CallerDep, cursor: CursorDep = "", limit: LimitDep = 50
) -> Page[SessionMessage]:
    """What was said, the oldest first."""
    await view(parts, caller, session_id)
    rows = await sessions.messages(parts.database, session_id, read_cursor(cursor), limit + 1)
    page = rows[:limit]
    return Page(items=[said for _, said in page], next_cursor=write_cursor(page[-1][0]) if len(rows) > limit else None)


@router.patch("/{session_id}", responses=problems(404, 422), openapi_extra=CALLERS)
async def change_session(session_id: UUID, body: SessionChange, parts: PartsDep, caller: CallerDep) -> SessionView:
    await view(parts, caller, session_id)
    try:
        row = await sessions.update(parts.database, session_id, title=body.title, user_context=body.user_context)
    except asyncpg.DataError as exc:
        raise InvalidRequest("This holds characters that cannot be stored.") from exc
    if row is None:
        raise NotFound
    return sessions.view_of(row, now=parts.processor.now())


@router.post("/{session_id}/close", responses=problems(404), openapi_extra=CALLERS)
async def close_session(session_id: UUID, parts: PartsDep, caller: CallerDep) -> SessionView:
    """End what waits and what runs in it, for good. Safe to repeat."""
    await view(parts, caller, session_id)
    await parts.processor.close_session(session_id)
    return await view(parts, caller, session_id)


async def view(parts: Parts, caller: CallerDep, session_id: UUID) -> SessionView:
    """Raises NotFound."""
    row = await sessions.get(parts.database, session_id)
    if row is None:
        raise NotFound
    need_own(caller, row["user_id"])
    return sessions.view_of(row, now=parts.processor.now())


def write_cursor(place: MessagePlace) -> str:
    seq, request_id, is_answer = place
    return base64.urlsafe_b64encode(f"{seq}:{request_id.hex}:{int(is_answer)}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> MessagePlace:
    """Raises InvalidRequest for what was never handed out."""
    if not cursor:
        return BEFORE_ALL
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        seq, request_id, is_answer = text.split(":")
        return int(seq), UUID(hex=request_id), is_answer == "1"
    except (ValueError, binascii.Error) as exc:
        raise bad_cursor() from exc
