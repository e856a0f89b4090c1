"""The accept statement: a repeat found, or limits charged, the conversation found or made, the request and its work queued.

Locks are taken in one order everywhere: person, conversation, request, lane. The person's row is the lock that makes
the limits exact: its counters are checked again on its newest version after waiting for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import asyncpg
import orjson
from shared_models.database import Database
from shared_models.enums import RequestStatus
from shared_models.ids import new_id
from shared_models.schemas import Person
from shared_models.work_item import WorkItem
from shared_models.work_statements import enqueue

from request_manager.domain.limits import Limits, Load
from request_manager.domain.normalizer import IncomingRequest
from request_manager.domain.results import Extra

REQUESTS_QUEUE = "request-manager.requests"
MAX_TRIES = 5

# The requests of a batch are of different people, so everything that belongs to a request is found by its person.
# A conversation that changed between the look and the lock leaves `session_id` null: the constraint undoes the statement.
ACCEPT = f"""
with incoming as (
  select * from unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::bytea[],
    $10::text[], $11::bool[], $12::text[], $13::text[], $14::text[], $15::bool[], $16::uuid[], $17::timestamptz[],
    $18::timestamptz[], $19::bool[]
  ) as i (
    request_id, user_id, caller, idempotency_key, named_session_id, new_session_id, key, integration_type, body_hash,
    request_type, stream, content, extra, metadata, wants_delivery, retry_of, created_at, deadline_at, overtakes
  )
),
repeat as (
  select i.user_id, r.request_id, r.session_id, r.status, r.body_hash
  from incoming i join request_logs r on r.caller = i.caller and r.idempotency_key = i.idempotency_key
),
target as (
  select i.user_id, c.user_id as owner, c.status, c.expires_at
  from incoming i join conversations c on c.session_id = i.named_session_id
  union all
  select i.user_id, c.user_id, c.status, c.expires_at
  from incoming i join conversations c on c.user_id = i.user_id and c.key = i.key and c.status in ('active', 'closing')
  where i.named_session_id is null
),
look as (
  select i.*, case
    when repeat.user_id is not null then 'repeat'
    when i.named_session_id is not null and target.owner is distinct from i.user_id then 'foreign'
    when target.status = 'closing' then 'closing'
    when target.status <> 'active' or target.expires_at <= now() then 'ended'
    else 'new'
  end as verdict
  from incoming i left join repeat using (user_id) left join target using (user_id)
),
charged as (
  update users u
  set open_requests = u.open_requests + 1,
      window_count = case when u.window_ends_at > now() then u.window_count + 1 else 1 end,
      window_ends_at = case when u.window_ends_at > now() then u.window_ends_at else now() + interval '1 minute' end
  from look
  where u.user_id = look.user_id and look.verdict = 'new' and u.open_requests < $21
    and (u.window_ends_at <= now() or u.window_count < $22)
  returning u.user_id, u.email, u.name, u.open_requests, u.window_count, u.window_ends_at
),
granted as (select incoming.* from incoming join charged using (user_id)),
made as (
  insert into conversations (session_id, user_id, integration_type, key, request_count, expires_at)
  select new_session_id, user_id, integration_type, key, 1, now() + $23::interval
  from granted where named_session_id is null
  on conflict (user_id, key) where status in ('active', 'closing') do update
  set request_count = conversations.request_count + 1, last_request_at = now(), expires_at = excluded.expires_at
  where conversations.status = 'active' and conversations.expires_at > now()
  returning user_id, session_id, key, request_count
),
continued as (
  update conversations c
  set request_count = c.request_count + 1, last_request_at = now(), expires_at = now() + $23::interval
  from granted g
  where c.session_id = g.named_session_id and c.user_id = g.user_id and c.status = 'active' and c.expires_at > now()
  returning c.user_id, c.session_id, c.key, c.request_count
),
conversation as (select * from made union all select * from continued),
logged as (
  insert into request_logs (
    request_id, session_id, user_id, sequence, caller, idempotency_key, body_hash, integration_type, request_type,
    named_session, stream, content, extra, metadata, wants_delivery, retry_of, created_at, deadline_at
  )
  select g.request_id, c.session_id, g.user_id, coalesce(c.request_count, 0), g.caller, g.idempotency_key, g.body_hash,
         g.integration_type, g.request_type, g.named_session_id is not null, g.stream, g.content, g.extra::json,
         g.metadata::json, g.wants_delivery, g.retry_of, g.created_at, g.deadline_at
  from granted g left join conversation c using (user_id)
  returning request_id, user_id, session_id, sequence
),
work as (
  select '{REQUESTS_QUEUE}' as queue, case when g.overtakes then null else l.session_id::text end as key,
         null::bigint as seq, l.request_id::text as ref, '{{}}'::jsonb as payload, $20::text as worker
  from logged l join granted g using (user_id)
),
{enqueue("item", "work")}
select look.request_id, look.verdict,
       repeat.request_id as repeat_id, repeat.session_id as repeat_session_id, repeat.status as repeat_status,
       repeat.body_hash as repeat_hash,
       conversation.session_id, conversation.key as conversation_key, logged.sequence,
       coalesce(charged.email, person.email) as email, coalesce(charged.name, person.name) as name,
       coalesce(charged.open_requests, person.open_requests) as open_requests,
       coalesce(charged.window_count, person.window_count) as window_count,
       coalesce(charged.window_ends_at, person.window_ends_at) as window_ends_at,
       item.id as item_id, item.key as item_key, item.leased_by as item_worker
from look
left join repeat using (user_id)
left join charged using (user_id)
left join conversation using (user_id)
left join logged using (user_id)
left join item on item.ref = look.request_id::text
left join users person on person.user_id = look.user_id and charged.user_id is null
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
    """What the database gave a new request. `item` is there when it is leased to the own worker; `is_for_others`: whoever
    claims it runs it. Neither: it waits behind another request of its conversation."""

    person: Person
    session_id: UUID
    conversation_key: str
    sequence: int
    item: WorkItem | None
    is_for_others: bool


@dataclass(frozen=True)
class AcceptOutcome:
    """`place` with NEW, `repeat` with REPEAT, `load` whenever the person is known."""

    verdict: Verdict
    place: Place | None = None
    repeat: Repeat | None = None
    load: Load | None = None


async def accept(
    database: Database, requests: Sequence[IncomingRequest], limits: Limits, *, worker: str | None
) -> list[AcceptOutcome]:
    """Accept requests of different people for good, or say why not, in one statement. `worker` is to run them.

    Two callers with one idempotency key: the second sees the first's. Raises asyncpg.PostgresError when something changed
    meanwhile for one of several: try them one by one."""
    for tries_left in reversed(range(MAX_TRIES)):
        try:
            rows = await database.fetch(ACCEPT, *_arguments(requests, limits, worker))
        except (asyncpg.UniqueViolationError, asyncpg.NotNullViolationError):
            # Somebody else was first with this key or changed this conversation: look again.
            if not tries_left or len(requests) > 1:
                raise
            continue
        found = {row["request_id"]: row for row in rows}
        outcomes = [_outcome(found[request.request_id], request, worker) for request in requests]
        expired = [
            request
            for request, outcome in zip(requests, outcomes, strict=True)
            if outcome.verdict is Verdict.ENDED and request.session_id is None
        ]
        if not expired or not tries_left:
            return outcomes
        for request in expired:
            await database.execute(EXPIRE_KEY, request.user_id, request.conversation_key)
        if len(requests) > 1:
            again = {
                request.request_id: (await accept(database, [request], limits, worker=worker))[0] for request in expired
            }
            return [again.get(r.request_id, outcome) for r, outcome in zip(requests, outcomes, strict=True)]
    raise AssertionError("unreachable")


def _arguments(requests: Sequence[IncomingRequest], limits: Limits, worker: str | None) -> tuple[object, ...]:
    columns = zip(*map(_row, requests), strict=True)
    return (
        *map(list, columns),
        worker,
        limits.open_requests,
        limits.per_minute,
        limits.session_timeout,
    )


def _row(request: IncomingRequest) -> tuple[object, ...]:
    """One element of each array of ACCEPT, in their order."""
    new_session_id = new_id()
    return (
        request.request_id,
        request.user_id,
        request.caller_id,
        request.idempotency_key,
        request.session_id,
        new_session_id,
        request.conversation_key or f"{request.integration_type.value}:{new_session_id}",
        request.integration_type.value,
        request.body_hash,
        request.request_type,
        request.stream,
        request.content,
        Extra(request.context, request.delivery, request.confirm, request.trace).dump(),
        orjson.dumps(request.metadata).decode() if request.metadata else "{}",
        request.delivery is not None,
        request.retry_of,
        request.created_at,
        request.deadline_at,
        request.overtakes,
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
    return Place(
        person, row["session_id"], row["conversation_key"], row["sequence"], item, is_for_others=worker is None
    )
