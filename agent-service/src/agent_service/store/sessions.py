"""Reading and changing sessions."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from shared_models.database import Database
from shared_models.enums import IntegrationType, SessionStatus
from shared_models.schemas import SessionMessage, SessionView, Usage

END_OF_CONTEXT = 2**62
"""`context_from_seq` of a closed session: nothing of it is shown to a model again, no run of it starts."""

COLUMNS = """
session_id, user_id, integration_type, conversation_key, status, request_count, last_request_at, user_context,
integration_metadata, agent, agent_version, title, llama_stack_conversation_id, model_calls, input_tokens, output_tokens,
created_at, expires_at
"""
GET = f"select {COLUMNS} from request_sessions where session_id = $1"
LIST = f"""
select {COLUMNS} from request_sessions
where user_id = $1 and session_id < $2 order by session_id desc limit $3
"""
MESSAGES = """
select request_id, role, content, agent, created_at, seq from session_messages
where session_id = $1 and (seq, request_id, role = 'assistant') > ($2::bigint, $3::uuid, $4::bool)
order by seq, request_id, role = 'assistant' limit $5
"""
UPDATE = f"""
update request_sessions set title = coalesce($2, title), user_context = coalesce($3::jsonb, user_context)
where session_id = $1 returning {COLUMNS}
"""
CANCEL_BEFORE = """
with session as (
  update request_sessions set cancelled_before_seq = greatest(cancelled_before_seq, $2::bigint) where session_id = $1
)
update confirmations set state = 'rejected', answered_at = now() where session_id = $1 and state = 'open'
"""


def view_of(row: asyncpg.Record, *, now: datetime) -> SessionView:
    is_expired = row["status"] == SessionStatus.ACTIVE and row["expires_at"] <= now
    return SessionView(
        session_id=row["session_id"],
        user_id=row["user_id"],
        integration_type=IntegrationType(row["integration_type"]),
        conversation_key=row["conversation_key"],
        status=SessionStatus.EXPIRED if is_expired else SessionStatus(row["status"]),
        request_count=row["request_count"],
        last_request_at=row["last_request_at"],
        user_context=row["user_context"],
        integration_metadata=row["integration_metadata"],
        agent=row["agent"],
        agent_version=row["agent_version"],
        title=row["title"],
        llama_stack_conversation_id=row["llama_stack_conversation_id"],
        usage=Usage(
            model_calls=row["model_calls"], input_tokens=row["input_tokens"], output_tokens=row["output_tokens"]
        ),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )


async def get(database: Database, session_id: UUID) -> asyncpg.Record | None:
    return await database.fetchrow(GET, session_id)


async def list_of(database: Database, user_id: UUID, before: UUID, limit: int) -> list[asyncpg.Record]:
    """Newest first, starting behind `before`."""
    return await database.fetch(LIST, user_id, before, limit)


type MessagePlace = tuple[int, UUID, bool]
"""(seq, request id, is the assistant's): the order of messages."""


async def messages(
    database: Database, session_id: UUID, after: MessagePlace, limit: int
) -> list[tuple[MessagePlace, SessionMessage]]:
    """Oldest first, each with its place; of one request the person's message comes first."""
    rows = await database.fetch(MESSAGES, session_id, *after, limit)
    return [((row["seq"], row["request_id"], row["role"] == "assistant"), _message(row)) for row in rows]


def _message(row: asyncpg.Record) -> SessionMessage:
    return SessionMessage(
        request_id=row["request_id"],
        role=row["role"],
        content=row["content"],
        agent=row["agent"],
        created_at=row["created_at"],
    )


async def update(
    database: Database, session_id: UUID, *, title: str | None, user_context: dict[str, Any] | None
) -> asyncpg.Record | None:
    return await database.fetchrow(UPDATE, session_id, title, user_context)


async def cancel_before(database: Database, session_id: UUID, seq: int) -> None:
    """Runs before `seq` end as cancelled when they start, also those that have not arrived yet; nothing waits for a yes."""
    await database.execute(CANCEL_BEFORE, session_id, seq)
