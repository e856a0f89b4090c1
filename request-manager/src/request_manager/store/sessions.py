"""Statements about conversations."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared_models.database import Database
from shared_models.enums import IntegrationType, SessionStatus
from shared_models.work_item import WorkItem
from shared_models.work_statements import enqueue

from request_manager.store.requests import ENDS_QUEUE

STATUS = "case when c.status = 'active' and c.expires_at <= now() then 'expired' else c.status end as status"

CONVERSATION = f"""
select c.session_id, c.user_id, c.integration_type, c.key, {STATUS}, c.request_count, c.created_at, c.last_request_at,
       c.expires_at
from conversations c where c.session_id = $1
"""

STATES = f"select c.session_id, {STATUS} from conversations c where c.session_id = any($1::uuid[]) and c.user_id = $2"

# With nothing under way the conversation is closed at once; agent-service is told either way.
CLOSE = f"""
with closing as (
  update conversations c
  set status = case when exists (select from request_logs r where r.session_id = $1 and r.ended_at is null)
                    then 'closing' else 'closed' end,
      closed_at = now()
  where c.session_id = $1 and c.status = 'active'
  returning c.session_id
),
work as (
  select '{ENDS_QUEUE}' as queue, null::text as key, null::bigint as seq, session_id::text as ref,
         '{{"close": true}}'::jsonb as payload, $2::text as worker
  from closing
),
{enqueue("item", "work")}
select id, leased_by from item
"""

CLOSED = "update conversations set status = 'closed', closed_at = now() where session_id = $1 and status = 'closing'"


@dataclass(frozen=True)
class Conversation:
    session_id: UUID
    user_id: UUID
    integration_type: IntegrationType
    key: str
    status: SessionStatus
    request_count: int
    created_at: datetime
    last_request_at: datetime
    expires_at: datetime


async def conversation(database: Database, session_id: UUID) -> Conversation | None:
    row = await database.fetchrow(CONVERSATION, session_id)
    if row is None:
        return None
    values = dict(row)
    values["integration_type"] = IntegrationType(values["integration_type"])
    values["status"] = SessionStatus(values["status"])
    return Conversation(**values)


async def states(database: Database, session_ids: list[UUID], user_id: UUID) -> dict[UUID, SessionStatus]:
    """The state of those conversations that are the person's."""
    rows = await database.fetch(STATES, session_ids, user_id)
    return {row["session_id"]: SessionStatus(row["status"]) for row in rows}


async def close(database: Database, session_id: UUID, worker: str | None) -> WorkItem | None:
    """Lock a conversation and queue what follows. None: it was not open, or the work is leased to nobody."""
    row = await database.fetchrow(CLOSE, session_id, worker)
    if row is None or row["leased_by"] is None:
        return None
    return WorkItem(row["id"], ENDS_QUEUE, None, str(session_id), {"close": True})


async def mark_closed(database: Database, session_id: UUID) -> None:
    await database.execute(CLOSED, session_id)
