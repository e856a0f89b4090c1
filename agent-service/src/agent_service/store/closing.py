"""Closing a session: its open runs end with it, in one transaction. Locks are taken in the order session, runs, lanes."""

from collections.abc import Callable
from uuid import UUID

import orjson
from shared_models.database import Database
from shared_models.errors import NotFound
from shared_models.schemas import AgentResponse, NormalizedRequest
from shared_models.work_statements import enqueue

from agent_service.store.intake import EVENTS
from agent_service.store.sessions import END_OF_CONTEXT

LOCK = "select user_id from request_sessions where session_id = $1 for update"
LOCK_OPEN_RUNS = """
select request_id, request from agent_runs
where user_id = $1 and session_id = $2 and ended_at is null order by request_id for update
"""
END_RUN = f"""
with run as (
  update agent_runs set state = $2, answer = $3::jsonb, ended_at = now()
  where request_id = $1 and ended_at is null
  returning session_id, seq, reply_by
), messages as (
  insert into session_messages (request_id, role, session_id, seq, content)
  select $1, role, session_id, seq, content
  from run, (values ('user', $4::text), ('assistant', $5::text)) said (role, content)
  on conflict do nothing
), wanted as (
  select '{EVENTS}' as queue, session_id::text as key, null::bigint as seq, $1::uuid::text as ref, $6::jsonb as payload,
         null::text as worker
  from run where reply_by = 'event'
), {enqueue("item", "wanted")}
select count(*) from item
"""
CLOSE = f"""
update request_sessions set status = 'closed', context_from_seq = {END_OF_CONTEXT} where session_id = $1
"""

type EndOf = Callable[[NormalizedRequest], tuple[AgentResponse, bytes]]
"""How an open run ends with its session, and the event that tells it, as JSON."""


async def close(database: Database, session_id: UUID, end_of: EndOf) -> list[AgentResponse]:
    """Returns the ends of the runs that were open. Raises NotFound, Unavailable."""
    ended: list[AgentResponse] = []
    async with database.transaction() as tx:
        session = await tx.fetchrow(LOCK, session_id)
        if session is None:
            raise NotFound
        for row in await tx.fetch(LOCK_OPEN_RUNS, session["user_id"], session_id):
            request = NormalizedRequest.read(row["request"])
            answer, event = end_of(request)
            error = answer.error.message if answer.error else ""
            await tx.execute(
                END_RUN,
                row["request_id"],
                answer.status.value,
                orjson.Fragment(answer.model_dump_json().encode()),
                request.content,
                error,
                orjson.Fragment(event),
            )
            ended.append(answer)
        await tx.execute(CLOSE, session_id)
    return ended
