"""How a run comes to be, and how it is ended from outside. One statement each."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from shared_models.database import Database
from shared_models.enums import SessionStatus
from shared_models.schemas import AgentResponse, NormalizedRequest, Usage
from shared_models.work_item import WorkItem
from shared_models.work_statements import enqueue

from agent_service.store.begin import MODEL_INTENT, Begun

RUNS = "agent-service.runs"
EVENTS = "agent-service.events"
PERSON = "person"
"""In a run's work item: whose run it is."""

# Flushed only for an event, whose broker is told that it is done. Who calls keeps the request and asks again, and every
# effect of the run waits for a step that is flushed, and this with it.
# A run that opens its session has nothing to read there, so it starts with its insert. In a session that goes on, what was
# said last may not be visible to this statement yet: `begin.START` reads it after the lane is ours.
INSERT = f"""
with known as (
  select state, reply_by, answer, ended_at from agent_runs where request_id = $1::uuid
), session as (
  insert into request_sessions (session_id, user_id, integration_type, conversation_key, title, request_count,
                                integration_metadata, expires_at)
  select $2::uuid, $3::uuid, $4::text, $5::text, $6::text, $7::bigint, $8::jsonb, $9::timestamptz where not exists (select from known)
  on conflict (session_id) do update
  set last_request_at = now(), expires_at = excluded.expires_at,
      request_count = greatest(request_sessions.request_count, excluded.request_count),
      title = case when request_sessions.title = '' then excluded.title else request_sessions.title end
  where request_sessions.user_id = excluded.user_id
  returning session_id, xmax = 0 as is_new
), start as (
  select is_new and $14::text is not null and (
    select count(*) from agent_runs where user_id = $3 and ended_at is null and state = 'processing'
  ) < $15::int as is_now from session
), run as (
  insert into agent_runs (request_id, session_id, user_id, seq, reply_by, request, deadline_at, state, attempt, started_at)
  select $1, session_id, $3, $7, $10::text, $11::jsonb, $12::timestamptz,
         case when start.is_now then 'processing' else 'waiting' end, start.is_now::int, case when start.is_now then now() end
  from session, start
  on conflict (request_id) do nothing
  returning request_id, session_id, seq, attempt
), intent as (
  insert into run_steps (request_id, n, is_result, kind, data)
  select request_id, 1, false, 'model', '{{}}' from run where attempt = 1 and $16::bool
), wanted as (
  select '{RUNS}' as queue, case when $13::bool then session_id::text end as key, seq,
         request_id::text as ref, jsonb_build_object('{PERSON}', $3, 'trace', $17::text) as payload,
         $14::text as worker
  from run
), {enqueue("item", "wanted")}
select known.state, known.reply_by, known.answer, known.ended_at is not null as has_ended,
       item.id, item.key, item.claim, item.leased_by, exists(select from session) as is_owner,
       run.attempt = 1 as is_started, now() as now,
       exists(select from run_watchers w where w.request_id = $1 and w.until > now()) as is_watched,
       set_config('synchronous_commit', case when $10 = 'call' then 'off' else current_setting('synchronous_commit') end, true)
from (select) one left join known on true left join run on true left join item on true
"""

END = f"""
with locked as materialized (
  select session_id from request_sessions where session_id = $2::uuid and user_id = $3::uuid for update
), run as (
  insert into agent_runs (request_id, session_id, user_id, seq, state, request, answer, deadline_at, ended_at)
  select $1::uuid, $2, $3::uuid, $4::bigint, $5::text, $6::jsonb, $7::jsonb, $8::timestamptz, now()
  from (select) one left join locked on true
  on conflict (request_id) do update
  set state = excluded.state, answer = excluded.answer, ended_at = excluded.ended_at
  where agent_runs.ended_at is null
  returning reply_by
), messages as (
  insert into session_messages (request_id, role, session_id, seq, content)
  select $1, role, $2, $4, content
  from run, locked, (values ('user', $9::text), ('assistant', $10::text)) said (role, content)
  on conflict do nothing
), wanted as (
  select '{EVENTS}' as queue, $2::text as key, null::bigint as seq, $1::text as ref, $11::jsonb as payload,
         $12::text as worker
  from run where reply_by = 'event'
), {enqueue("item", "wanted")}
select exists(select from run) as is_winner, item.id, item.key, item.claim, item.leased_by
from (select) one left join item on true
"""

ANNOUNCE = f"""
with run as (
  update agent_runs set reply_by = 'event' where request_id = $1::uuid and reply_by is null and ended_at is not null
  returning session_id
), wanted as (
  select '{EVENTS}' as queue, session_id::text as key, null::bigint as seq, $1::text as ref, $2::jsonb as payload,
         null::text as worker
  from run
), {enqueue("item", "wanted")}
select count(*) from item
"""

VIEW = "select user_id, session_id, state, agent, answer from agent_runs where request_id = $1"
ENDED = "select request_id, answer from agent_runs where request_id = any($1::uuid[]) and answer is not null"
MISSING = """
select asked.id from unnest($1::uuid[]) as asked (id) where not exists (select from agent_runs where request_id = asked.id)
"""
OPEN_OF_SESSION = """
select request_id, request, state, started_at from agent_runs
where user_id = $1 and session_id = $2 and ended_at is null order by seq, request_id
"""


@dataclass(frozen=True)
class Taken:
    """What became of a hand-over. `item`: run it here; `answer`: it had ended before; neither: it runs elsewhere or waits.

    `is_tombstone`: it was ended before it arrived, so nobody has been told by event."""

    item: WorkItem | None = None
    answer: bytes | None = None
    is_tombstone: bool = False
    is_foreign: bool = False
    is_new: bool = False


@dataclass(frozen=True)
class NewRun:
    """What is inserted. `body`: the request as JSON; `worker` takes it at once, if it is its session's turn.

    `at_most`: it starts with its insert when fewer runs of the person are at work; `with_intent`: by a model turn."""

    request: NormalizedRequest
    body: bytes
    title: str
    reply_by: str
    is_laned: bool
    worker: str | None
    expires_at: datetime
    at_most: int
    with_intent: bool
    trace: str = ""

    def values(self) -> tuple[object, ...]:
        """The parameters of INSERT."""
        request = self.request
        return (
            request.request_id,
            request.session_id,
            request.person.user_id,
            request.integration_type.value,
            request.conversation_key,
            self.title,
            request.sequence,
            request.metadata,
            self.expires_at,
            self.reply_by,
            orjson.Fragment(self.body),
            request.deadline_at,
            self.is_laned,
            self.worker,
            self.at_most,
            self.with_intent,
            self.trace,
        )


async def insert(database: Database, new: NewRun) -> Taken:
    """Make the session and the run, or find the run. Raises asyncpg.DataError, Unavailable."""
    row = await database.fetchrow(INSERT, *new.values())
    assert row is not None
    if row["has_ended"]:
        is_tombstone = row["reply_by"] is None and new.reply_by == "event"
        return Taken(answer=orjson.dumps(row["answer"]), is_tombstone=is_tombstone)
    if row["id"] is not None:
        person = str(new.request.person.user_id)
        payload: dict[str, Any] = {"request": new.request, "trace": new.trace, PERSON: person}
        if row["is_started"]:
            payload["begun"] = _begun(row, new)
        item = handed_off(row, RUNS, str(new.request.request_id), new.worker, payload)
        return Taken(item=item, is_new=True)
    return Taken(is_foreign=row["state"] is None and not row["is_owner"])


def _begun(row: asyncpg.Record, new: NewRun) -> Begun:
    """A run that has opened its session as its worker finds it: there is nothing before it."""
    return Begun(
        attempt=1,
        reply_by=new.reply_by,
        has_ended=False,
        is_overdue=new.request.deadline_at <= row["now"],
        now=row["now"],
        seq=new.request.sequence,
        request=None,
        session_id=new.request.session_id,
        status=SessionStatus.ACTIVE,
        agent=None,
        context_from_seq=0,
        cancelled_before_seq=0,
        user_context={},
        conversation_id=None,
        usage=Usage(),
        is_watched=row["is_watched"],
        steps=[MODEL_INTENT] if new.with_intent else [],
        history=[],
        asked=None,
    )


def handed_off(
    row: asyncpg.Record, queue: str, ref: str, worker: str | None, payload: dict[str, Any]
) -> WorkItem | None:
    """The new row as a claimed item, if it was born leased to `worker`."""
    if worker is None or row["leased_by"] != worker:
        return None
    return WorkItem(row["id"], queue, row["key"], ref, payload, claim=row["claim"])


async def end(
    database: Database, request: NormalizedRequest, answer: AgentResponse, event: bytes, *, worker: str | None
) -> tuple[bool, WorkItem | None]:
    """(True if this end won, the event's row to hand off). Leaves a tombstone where no run is."""
    error = answer.error.message if answer.error else ""
    row = await database.fetchrow(
        END,
        request.request_id,
        request.session_id,
        request.person.user_id,
        request.sequence,
        answer.status.value,
        orjson.Fragment(request.model_dump_json().encode()),
        orjson.Fragment(answer.model_dump_json().encode()),
        request.deadline_at,
        request.content,
        error,
        orjson.Fragment(event),
        worker,
    )
    assert row is not None
    payload = orjson.loads(event)
    return row["is_winner"], handed_off(row, EVENTS, str(request.request_id), worker, payload)


async def announce(database: Database, request_id: UUID, event: bytes) -> None:
    """The request of a tombstone has arrived by event after all: tell its end by event."""
    await database.execute(ANNOUNCE, request_id, orjson.Fragment(event))


async def view(database: Database, request_id: UUID) -> asyncpg.Record | None:
    return await database.fetchrow(VIEW, request_id)


async def ended(database: Database, request_ids: list[UUID]) -> dict[UUID, bytes]:
    """The answers of those that have ended, as JSON."""
    rows = await database.fetch(ENDED, request_ids)
    return {row["request_id"]: orjson.dumps(row["answer"]) for row in rows}


async def missing(database: Database, request_ids: list[UUID]) -> list[UUID]:
    """Those without a run."""
    return [row["id"] for row in await database.fetch(MISSING, request_ids)]


async def open_of_session(database: Database, user_id: UUID, session_id: UUID) -> list[asyncpg.Record]:
    return await database.fetch(OPEN_OF_SESSION, user_id, session_id)
