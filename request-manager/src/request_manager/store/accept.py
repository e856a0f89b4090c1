"""The accept statement: a repeat found, or limits charged, the conversation found or made, the request and its work queued.

Locks are taken in one order everywhere: person, conversation, request, lane. The person's row is the lock that makes
the limits exact: its counters are checked again on its newest version after waiting for it."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import asyncpg
import orjson
from shared_models.database import Database
from shared_models.enums import RequestStatus
from shared_models.schemas import Person
from shared_models.work_queue import WorkItem
from shared_models.work_statements import enqueue

from request_manager.domain.limits import Limits, Load
from request_manager.domain.normalizer import IncomingRequest
from request_manager.domain.results import Extra

REQUESTS_QUEUE = "request-manager.requests"
MAX_TRIES = 5

# A conversation that changed between the look and the lock leaves `session_id` null: the constraint undoes the statement.
ACCEPT = f"""
with repeat as (
  select request_id, session_id, status, body_hash from request_logs where caller = $3 and idempotency_key = $4
),
target as (
  select user_id, status, expires_at from conversations where session_id = $5
  union all
  select user_id, status, expires_at from conversations
  where $5::uuid is null and user_id = $2 and key = $7 and status in ('active', 'closing')
),
look as (
  select case
    when exists (select from repeat) then 'repeat'
    when $5::uuid is not null and not exists (select from target where user_id = $2) then 'foreign'
    when exists (select from target where status = 'closing') then 'closing'
    when exists (select from target where status <> 'active' or expires_at <= now()) then 'ended'
    else 'new'
  end as verdict
),
charged as (
  update users u
  set open_requests = u.open_requests + 1,
      window_count = case when u.window_ends_at > now() then u.window_count + 1 else 1 end,
      window_ends_at = case when u.window_ends_at > now() then u.window_ends_at else now() + interval '1 minute' end
  from look
  where u.user_id = $2 and look.verdict = 'new' and u.open_requests < $21
    and (u.window_ends_at <= now() or u.window_count < $22)
  returning u.user_id, u.email, u.name, u.open_requests, u.window_count, u.window_ends_at
),
made as (
  insert into conversations (session_id, user_id, integration_type, key, request_count, expires_at)
  select $6, $2, $8, $7, 1, now() + $23::interval from charged where $5::uuid is null
  on conflict (user_id, key) where status in ('active', 'closing') do update
  set request_count = conversations.request_count + 1, last_request_at = now(), expires_at = excluded.expires_at
  where conversations.status = 'active' and conversations.expires_at > now()
  returning session_id, key, request_count
),
continued as (
  update conversations c
  set request_count = c.request_count + 1, last_request_at = now(), expires_at = now() + $23::interval
  from charged
  where c.session_id = $5 and c.user_id = $2 and c.status = 'active' and c.expires_at > now()
  returning c.session_id, c.key, c.request_count
),
conversation as (select * from made union all select * from continued),
logged as (
  insert into request_logs (
    request_id, session_id, user_id, sequence, caller, idempotency_key, body_hash, integration_type, request_type,
    named_session, stream, content, extra, metadata, wants_delivery, retry_of, created_at, deadline_at
  )
  select $1, c.session_id, $2, coalesce(c.request_count, 0), $3, $4, $9, $8, $10,
         $5::uuid is not null, $11, $12, $13, $14, $15, $16, $17, $18
  from charged left join conversation c on true
  returning request_id, session_id, sequence
),
work as (
  select '{REQUESTS_QUEUE}' as queue, case when $19 then null else session_id::text end as key, null::bigint as seq,
         request_id::text as ref, '{{}}'::jsonb as payload, $20::text as worker
  from logged
),
{enqueue("item", "work")}
select look.verdict,
       repeat.request_id as repeat_id, repeat.session_id as repeat_session_id, repeat.status as repeat_status,
       repeat.body_hash as repeat_hash,
       conversation.session_id, conversation.key as conversation_key, logged.sequence,
       coalesce(charged.email, person.email) as email, coalesce(charged.name, person.name) as name,
       coalesce(charged.open_requests, person.open_requests) as open_requests,
       coalesce(charged.window_count, person.window_count) as window_count,
       coalesce(charged.window_ends_at, person.window_ends_at) as window_ends_at,
       item.id as item_id, item.key as item_key, item.leased_by as item_worker
from look
left join repeat on true
left join charged on true
left join conversation on true
left join logged on true
left join item on true
left join users person on person.user_id = $2 and charged.user_id is null
"""

EXPIRE_KEY = """
update conversations set status = 'expired', closed_at = now()
where user_id = $1 and key = $2 and status = 'active' and expires_at <= now()
"""


class Verdict(StrEnum):
    NEW = "new"
    REPEAT = "repeat"
    FOREIGN = "foreign"
    CLOSING = "closing"
    ENDED = "ended"
    LIMITED = "limited"
    UNKNOWN_PERSON = "unknown_person"


@dataclass(frozen=True)
class Repeat:
    request_id: UUID
    session_id: UUID
    status: RequestStatus
    body_hash: bytes | None


@dataclass(frozen=True)
class Place:
    """What the database gave a new request. `item` is there when it is leased to the own worker."""

    person: Person
    session_id: UUID
    conversation_key: str
    sequence: int
    item: WorkItem | None


@dataclass(frozen=True)
class AcceptOutcome:
    """`place` with NEW, `repeat` with REPEAT, `load` whenever the person is known."""

    verdict: Verdict
    place: Place | None = None
    repeat: Repeat | None = None
    load: Load | None = None


async def accept(
    database: Database, request: IncomingRequest, limits: Limits, *, new_session_id: UUID, worker: str | None
) -> AcceptOutcome:
    """Accept a request for good, or say why not. Two callers with one idempotency key: the second sees the first's."""
    arguments = _arguments(request, limits, new_session_id, worker)
    for tries_left in reversed(range(MAX_TRIES)):
        try:
            row = await database.fetchrow(ACCEPT, *arguments)
        except (asyncpg.UniqueViolationError, asyncpg.NotNullViolationError):
            # Somebody else was first with this key or changed this conversation: look again.
            if not tries_left:
                raise
            continue
        assert row is not None
        outcome = _outcome(row, request, worker)
        if outcome.verdict is not Verdict.ENDED or request.session_id is not None or not tries_left:
            return outcome
        await database.execute(EXPIRE_KEY, request.user_id, request.conversation_key)
    raise AssertionError("unreachable")


def _arguments(
    request: IncomingRequest, limits: Limits, new_session_id: UUID, worker: str | None
) -> tuple[object, ...]:
    key = request.conversation_key or f"{request.integration_type.value}:{new_session_id}"
    extra = Extra(request.context, request.delivery, request.confirm)
    return (
        request.request_id,
        request.user_id,
        request.caller_id,
        request.idempotency_key,
        request.session_id,
        new_session_id,
        key,
        request.integration_type.value,
        request.body_hash,
        request.request_type,
        request.stream,
        request.content,
        extra.dump(),
        orjson.dumps(request.metadata).decode() if request.metadata else "{}",
        request.delivery is not None,
        request.retry_of,
        request.created_at,
        request.deadline_at,
        request.overtakes,
        worker,
        limits.open_requests,
        limits.per_minute,
        limits.session_timeout,
    )


def _outcome(row: asyncpg.Record, request: IncomingRequest, worker: str | None) -> AcceptOutcome:
    verdict = Verdict(row["verdict"])
    load = None
    if row["email"] is not None:
        load = Load(row["window_count"], row["window_ends_at"], row["open_requests"])
    if verdict is Verdict.REPEAT:
        status = RequestStatus(row["repeat_status"])
        repeat = Repeat(row["repeat_id"], row["repeat_session_id"], status, row["repeat_hash"])
        return AcceptOutcome(verdict, repeat=repeat, load=load)
    if verdict is not Verdict.NEW:
        return AcceptOutcome(verdict, load=load)
    if load is None:
        return AcceptOutcome(Verdict.UNKNOWN_PERSON)
    if row["session_id"] is None:
        return AcceptOutcome(Verdict.LIMITED, load=load)
    return AcceptOutcome(verdict, place=_place(row, request, worker), load=load)


def _place(row: asyncpg.Record, request: IncomingRequest, worker: str | None) -> Place:
    item = None
    if worker is not None and row["item_worker"] == worker:
        item = WorkItem(row["item_id"], REQUESTS_QUEUE, row["item_key"], str(request.request_id), {})
    person = Person(user_id=request.user_id, email=row["email"], name=row["name"])
    return Place(person, row["session_id"], row["conversation_key"], row["sequence"], item)
