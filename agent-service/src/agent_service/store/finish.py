"""How a run ends at work, and what else happens to it there. One statement each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from shared_models.database import Database
from shared_models.schemas import AgentRef, NormalizedRequest, Usage
from shared_models.work_item import WorkItem
from shared_models.work_statements import complete, enqueue

from agent_service.domain.confirmations import Asked
from agent_service.domain.turn import Step
from agent_service.store.checkpoints import STEPS, rows_of
from agent_service.store.intake import EVENTS, RUNS, handed_off

NO_USAGE = Usage()
SAME_CONVERSATION = ""
"""As `conversation_id`: leave what the session has. None: the model server's copy is not to be trusted any more."""

# The work item goes only with a run that has ended. Where the database crashed after a start that was not flushed, the run
# waits again while its worker still believes to be at it: then it ends nothing here, and starts anew.
FINISH = f"""
with locked as materialized (
  select session_id from request_sessions where session_id = $4::uuid for update
), run as (
  update agent_runs r set state = $5::text, answer = $6::jsonb, agent = $7::text, ended_at = now() from locked
  where r.request_id = $1::uuid and r.attempt = $2::int and r.state = 'processing'
  returning r.reply_by, r.seq
), {STEPS}, session as (
  update request_sessions s
  set agent = coalesce($7, s.agent), agent_version = coalesce($8::text, s.agent_version),
      model_calls = s.model_calls + $9::bigint, input_tokens = s.input_tokens + $10::bigint, output_tokens = s.output_tokens + $11::bigint,
      llama_stack_conversation_id = case when $12::text = '' then s.llama_stack_conversation_id else $12 end, last_request_at = now(),
      status = case when $13::bool and s.status = 'active' then 'closed' else s.status end,
      context_from_seq = case when $13 then greatest(s.context_from_seq, run.seq + 1) else s.context_from_seq end
  from run where s.session_id = $4
), messages as (
  insert into session_messages (request_id, role, session_id, seq, content, agent, items)
  select $1, m.role, $4, run.seq, m.content, m.agent, nullif(m.items, 'null')
  from run, jsonb_to_recordset($14::jsonb) as m (role text, content text, agent text, items jsonb)
  on conflict do nothing
), outcome as (
  update confirmations c set outcome = o.value from run, jsonb_each_text($15::jsonb) as o where c.id = o.key::uuid
), replaced as (
  update confirmations c set state = 'replaced' from run
  where c.session_id = $4 and c.state = 'open' and c.id <> ($16::jsonb ->> 'id')::uuid
), asked as (
  insert into confirmations (id, session_id, user_id, request_id, agent, server, tool, arguments, arguments_hash, effect,
                             expires_at)
  select a.id, $4, a.user_id, $1, a.agent, a.server, a.tool, a.arguments, a.arguments_hash, a.effect, a.expires_at
  from run, jsonb_to_record($16::jsonb) as a (id uuid, user_id uuid, agent text, server text, tool text, arguments jsonb,
                                              arguments_hash text, effect text, expires_at timestamptz)
  where a.id is not null
  on conflict (id) do nothing
), wanted as (
  select '{EVENTS}' as queue, $4::text as key, null::bigint as seq, $1::text as ref, $17::jsonb as payload,
         $18::text as worker
  from run where reply_by = 'event'
), {enqueue("event", "wanted")}, over as (
  select from run union all select from agent_runs where request_id = $1 and ended_at is not null
), {complete("done", item="case when exists(select from over) then $19::bigint end", claim="$20::int", worker="$21::text")}
select exists(select from run) as is_winner, exists(select from over) as is_over, coalesce((select pending from done_lane), 0) as pending,
       event.id, event.key, event.claim, event.leased_by
from (select) one left join event on true
"""

SUCCESSOR = """
select session_id from request_sessions
where user_id = $1 and integration_type = $2 and conversation_key = $3 and status = 'active' and session_id <> $4
order by session_id desc limit 1
"""

MOVE = f"""
with run as (
  update agent_runs set session_id = $2::uuid, state = 'waiting' where request_id = $1::uuid and ended_at is null
  returning seq
), {complete("done", item="case when exists(select from run) then $3::bigint end", claim="$4::int", worker="$5::text")}, wanted as (
  select '{RUNS}' as queue, $2::text as key, seq, $1::text as ref, '{{}}'::jsonb as payload, null::text as worker
  from run, done
), {enqueue("item", "wanted")}
select coalesce((select pending from done_lane), 0) from (select) one left join item on true
"""

PROCESSING = f"""
with wanted as (
  select '{EVENTS}' as queue, null::text as key, null::bigint as seq, request_id::text as ref, $2::jsonb as payload,
         $3::text as worker
  from agent_runs where request_id = $1::uuid and ended_at is null
), {enqueue("item", "wanted")}
select id, key, claim, leased_by from item
"""

FREE_PARKED = """
update lanes set run_at = now() where queue = $1 and key = $2 and leased_by is null and pending > 0 and run_at > now()
"""


@dataclass(frozen=True)
class End:
    """How a run ends. `answer` and `event` (response.ready) are JSON."""

    status: str
    answer: bytes
    event: bytes


@dataclass(frozen=True)
class Finish:
    """Everything else that becomes true with the end of a run. `said`: rows of `session_messages`."""

    attempt: int
    session_id: UUID
    said: Sequence[dict[str, Any]] = ()
    steps: Sequence[Step] = ()
    agent: AgentRef | None = None
    usage: Usage = NO_USAGE
    conversation_id: str | None = None
    ends_session: bool = False
    outcomes: dict[str, str] | None = None
    asked: Asked | None = None


@dataclass(frozen=True)
class Claim:
    """What gives the right to finish: the work item and who holds it. `events_worker` runs the event's row at once."""

    item: WorkItem
    worker: str
    events_worker: str | None


@dataclass(frozen=True)
class Finished:
    """`is_winner`: no other end came first. `event`: the row of response.ready, to be handed off."""

    is_winner: bool
    is_over: bool
    lane_pending: int
    event: WorkItem | None


async def finish(database: Database, request: NormalizedRequest, done: Finish, end: End, claim: Claim) -> Finished:
    row = await database.fetchrow(
        FINISH,
        request.request_id,
        done.attempt,
        rows_of(done.steps),
        done.session_id,
        end.status,
        orjson.Fragment(end.answer),
        done.agent.name if done.agent else None,
        done.agent.version if done.agent else None,
        done.usage.model_calls,
        done.usage.input_tokens,
        done.usage.output_tokens,
        done.conversation_id,
        done.ends_session,
        list(done.said),
        done.outcomes or {},
        _asked_row(done.asked, request) if done.asked else {},
        orjson.Fragment(end.event),
        claim.events_worker,
        claim.item.id,
        claim.item.claim,
        claim.worker,
    )
    assert row is not None
    event = handed_off(row, EVENTS, claim.item.ref, claim.events_worker, orjson.loads(end.event))
    return Finished(row["is_winner"], row["is_over"], row["pending"], event)


def _asked_row(asked: Asked, request: NormalizedRequest) -> dict[str, Any]:
    return {
        "id": str(asked.id),
        "user_id": str(request.person.user_id),
        "agent": asked.agent,
        "server": asked.server,
        "tool": asked.tool,
        "arguments": asked.arguments,
        "arguments_hash": asked.arguments_hash,
        "effect": asked.effect,
        "expires_at": asked.expires_at.isoformat(),
    }


async def successor(database: Database, request: NormalizedRequest, session_id: UUID) -> UUID | None:
    """The session that the request's conversation has now, when `session_id` was closed."""
    found = await database.fetchval(
        SUCCESSOR, request.person.user_id, request.integration_type.value, request.conversation_key, session_id
    )
    return found if isinstance(found, UUID) else None


async def move(database: Database, request_id: UUID, session_id: UUID, item: WorkItem, worker: str) -> int:
    """Let a run wait in another session's lane. Returns how many rows are left in the old lane."""
    pending = await database.fetchval(MOVE, request_id, session_id, item.id, item.claim, worker)
    return pending if isinstance(pending, int) else 0


async def tell_processing(database: Database, request_id: UUID, event: bytes, worker: str | None) -> WorkItem | None:
    """Queue `request.processing`, unless the run has ended."""
    row = await database.fetchrow(PROCESSING, request_id, orjson.Fragment(event), worker)
    return handed_off(row, EVENTS, str(request_id), worker, orjson.loads(event)) if row else None


async def free_parked(database: Database, session_id: str) -> None:
    """A run that waited for a free slot of its person is due now."""
    await database.execute(FREE_PARKED, RUNS, session_id)
