"""How a run starts, or is taken up again: everything its worker needs to know, in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared_models.database import Database
from shared_models.schemas import Usage
from shared_models.work_item import WorkItem

from agent_service.domain.confirmations import Asked, State
from agent_service.domain.context import PastTurn
from agent_service.domain.turn import Step

FULL_MESSAGES = 16
OLDER_MESSAGES = 60
OLDER_CHARS = 250
NO_LIMIT = 1_000_000
MODEL_INTENT = Step(1, "model", is_result=False, data={})
"""The first step of a run that begins with a model turn."""

# Not flushed by itself: a power cut takes back a start that nothing came of yet, and the run starts again.
START = f"""
with known as (
  select r.session_id, r.user_id, r.seq, r.reply_by, r.ended_at, r.deadline_at, r.request,
         (r.request #>> '{{confirm,id}}')::uuid as confirm_id
  from agent_runs r where r.request_id = $1::uuid
), claimed as (
  select from work_items where id = $2::bigint and claim = $3::int and leased_by = $4::text
), busy as (
  select count(*) as n from agent_runs
  where user_id = (select user_id from known) and ended_at is null and state = 'processing' and request_id <> $1
), run as (
  update agent_runs r
  set state = 'processing', attempt = r.attempt + 1, started_at = coalesce(r.started_at, now())
  from claimed
  where r.request_id = $1 and r.ended_at is null and (select n from busy) < $5::int
  returning r.attempt
), intent as (
  insert into run_steps (request_id, n, is_result, kind, data)
  select $1, 1, false, 'model', '{{}}' from run where $6::bool and attempt = 1
), session as (
  select s.* from request_sessions s where s.session_id = (select session_id from known)
)
select run.attempt, known.reply_by, known.ended_at is not null as has_ended, known.deadline_at <= now() as is_overdue, known.seq, now() as now,
       case when $7::bool then known.request end as request,
       s.session_id, s.status, s.agent, s.context_from_seq, s.cancelled_before_seq, s.user_context,
       s.llama_stack_conversation_id as conversation_id, s.model_calls, s.input_tokens, s.output_tokens,
       exists(select from run_watchers w where w.request_id = $1 and w.until > now()) as is_watched,
       (select jsonb_agg(jsonb_build_array(n, kind, is_result, data) order by n, is_result)
        from run_steps where request_id = $1) as steps,
       (select jsonb_agg(jsonb_build_array(seq, role, content, items) order by place desc)
        from (select seq, role, row_number() over recent as place,
                     case when row_number() over recent <= {FULL_MESSAGES} then content
                          else left(content, {OLDER_CHARS}) end as content,
                     case when row_number() over recent <= {FULL_MESSAGES} then items end as items
              from session_messages
              where session_id = s.session_id and seq >= s.context_from_seq
              window recent as (order by seq desc, request_id desc, role)
              order by seq desc, request_id desc, role limit {OLDER_MESSAGES}) said) as history,
       (select to_jsonb(c) || jsonb_build_object('is_last_said', exists(
          select from (select m.request_id from session_messages m where m.session_id = c.session_id
                       order by m.seq desc, m.request_id desc limit 1) last
          join agent_runs lr on lr.request_id = last.request_id
          where lr.answer #>> '{{response,confirmation,id}}' = c.id::text or lr.request_id = c.answered_by))
        from confirmations c
        where c.session_id = s.session_id and (confirm_id is null or c.id = confirm_id) order by created_at desc limit 1) as asked,
       set_config('synchronous_commit', 'off', true)
from known left join run on true left join session s on true
"""


@dataclass(frozen=True)
class Begun:
    """A run as its worker finds it. `now`: the database's clock. `attempt` is None when it may not start: it has ended, or the person's slots are taken."""

    attempt: int | None
    reply_by: str | None
    has_ended: bool
    is_overdue: bool
    now: datetime
    seq: int
    request: dict[str, Any] | None
    session_id: UUID
    status: str
    agent: str | None
    context_from_seq: int
    cancelled_before_seq: int
    user_context: dict[str, Any]
    conversation_id: str | None
    usage: Usage
    is_watched: bool
    steps: list[Step]
    history: list[PastTurn]
    asked: Asked | None


async def start(
    database: Database,
    item: WorkItem,
    worker: str,
    *,
    at_most: int,
    with_intent: bool,
    with_request: bool,
) -> Begun | None:
    """Begin or take up a run, if the claim still stands and fewer than `at_most` of the person's runs are at work.

    `with_intent`: the first step is a model turn. None: there is no such run."""
    row = await database.fetchrow(
        START, UUID(item.ref), item.id, item.claim, worker, at_most, with_intent, with_request
    )
    if row is None:
        return None
    steps = [Step(*fields) for fields in row["steps"] or ()]
    if with_intent and row["attempt"] == 1:
        steps.append(MODEL_INTENT)
    return Begun(
        attempt=row["attempt"],
        reply_by=row["reply_by"],
        has_ended=row["has_ended"],
        is_overdue=row["is_overdue"],
        now=row["now"],
        seq=row["seq"],
        request=row["request"],
        session_id=row["session_id"],
        status=row["status"] or "",
        agent=row["agent"],
        context_from_seq=row["context_from_seq"],
        cancelled_before_seq=row["cancelled_before_seq"],
        user_context=row["user_context"],
        conversation_id=row["conversation_id"],
        usage=Usage(
            model_calls=row["model_calls"], input_tokens=row["input_tokens"], output_tokens=row["output_tokens"]
        ),
        is_watched=row["is_watched"],
        steps=steps,
        history=_past_turns(row["history"] or ()),
        asked=_asked(row["asked"]),
    )


def _past_turns(rows: Sequence[Sequence[Any]]) -> list[PastTurn]:
    """Rows (seq, role, content, items), oldest first; of one request the person's message comes first."""
    turns: list[PastTurn] = []
    for _, role, content, items in rows:
        if role == "user":
            turns.append(PastTurn(content, ""))
        elif turns and not turns[-1].answer:
            turns[-1] = PastTurn(turns[-1].question, content, items or ())
    return turns


def _asked(row: dict[str, Any] | None) -> Asked | None:
    if row is None:
        return None
    return Asked(
        id=UUID(row["id"]),
        request_id=UUID(row["request_id"]),
        agent=row["agent"],
        server=row["server"],
        tool=row["tool"],
        arguments=row["arguments"],
        arguments_hash=row["arguments_hash"],
        effect=row["effect"],
        state=State(row["state"]),
        expires_at=datetime.fromisoformat(row["expires_at"]),
        outcome=row["outcome"],
        answered_by=UUID(row["answered_by"]) if row["answered_by"] else None,
        is_last_said=row["is_last_said"],
    )
