"""Statements of planning and falling back."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg
from shared_models.database import Database
from shared_models.schemas import AgentResponse
from shared_models.work_item import WorkItem
from shared_models.work_statements import enqueue

from integration_dispatcher.store.names import DELIVERIES, OPEN, report_items

# `plan` is the row just made or moved on; $1 the rows to plan (JSON), $2 the worker or null, $3 the trace.
# At most one part of each target is queued: its worker sends the others after it.
PLANNED = f"""
planned as (
  insert into delivery_logs (id, part, parts, request_id, session_id, user_id, integration, target, rank, body, status,
                             reason, kind, expires_at, ended_at)
  select r.id, r.part, r.parts, p.request_id, p.session_id, p.user_id, r.integration, r.target, r.rank, r.body, r.status,
         r.reason, r.kind, now() + r.expires_after_s * interval '1 second', case when r.status = 'failed' then now() end
  from plan p cross join jsonb_to_recordset($1::jsonb) as r(
    id uuid, part smallint, parts smallint, integration text, target text, rank smallint, body text, status text,
    reason text, expires_after_s float8, kind text)
  on conflict (request_id, integration, target, part, kind) do nothing
  returning *, integration || ':' || target as lane
), source as (
  select '{DELIVERIES}' as queue, lane as key, null::bigint as seq, request_id::text as ref,
         jsonb_build_object('delivery_id', id, 'trace', $3::text) as payload, $2::text as worker
  from planned where part = 1 and status = 'pending'
  union all
  {report_items("planned where status = 'failed'", worker="null::text", trace="$3::text")}
), {enqueue("item", "source")}
select item.id, item.queue, item.key, item.claim, item.leased_by, item.key is not null as is_delivery, s.payload, s.ref
from item left join source s on s.queue = item.queue and s.key = item.key
"""

PLAN = f"""
with plan as (
  insert into delivery_plans (request_id, user_id, session_id, message, policy, chain, position, fallback_at, note)
  select $4::uuid, $5::uuid, $6::uuid, $7::text, $8::text, $9::text[], 0, now() + $10::float8 * interval '1 second', $11
  where jsonb_array_length($1::jsonb) > 0
  on conflict (request_id) do nothing
  returning request_id, session_id, user_id
), {PLANNED}
"""

MOVE_ON = f"""
with plan as (
  update delivery_plans set position = $6::smallint, fallback_at = now() + $7::float8 * interval '1 second'
  where request_id = $4 and position = $5::smallint and fallback_at <= now() and delivered_at is null
  returning request_id, session_id, user_id
), {PLANNED}
"""

# Nobody is left to try: if nothing is under way any more, the person is told elsewhere.
NO_FURTHER = f"""
update delivery_plans p
set fallback_at = null,
    note = case when delivered_at is null and not exists (
      select from delivery_logs d where d.request_id = p.request_id and d.kind <> 'note' and d.status in {OPEN}
    ) then 'failed' else note end
where request_id = $1 and position = $2::smallint
"""

PLAN_COLUMNS = "request_id, user_id, message, chain, position"
DUE_PLANS = f"""
select {PLAN_COLUMNS} from delivery_plans where fallback_at <= now() and request_id > $1 order by request_id limit 50
"""
DUE_PLAN = f"select {PLAN_COLUMNS} from delivery_plans where request_id = $1 and fallback_at <= now()"


@dataclass(frozen=True)
class PlannedRow:
    """One part to write. `status` is pending, or failed where nothing can be sent; `kind` as in the table."""

    id: UUID
    part: int
    parts: int
    integration: str
    target: str
    rank: int
    body: str
    status: str
    reason: str
    expires_after_s: float
    kind: str = "answer"

    def as_json(self) -> dict[str, object]:
        return self.__dict__ | {"id": str(self.id)}


@dataclass(frozen=True)
class DuePlan:
    """A plan whose next integration is to be started. `message`: the answer as JSON, which other code may have written."""

    request_id: UUID
    user_id: UUID
    message: str
    chain: list[str]
    position: int

    def answer(self) -> AgentResponse:
        """Raises ValidationError."""
        return AgentResponse.read_json(self.message)


@dataclass(frozen=True)
class Queued:
    """What a statement has queued: rows leased to this worker, and whether there are rows for others."""

    own: list[WorkItem]
    has_events: bool
    has_others: bool


@dataclass(frozen=True)
class Hand:
    """Who runs new rows at once (None: nobody), and the trace they belong to."""

    worker: str | None
    trace: str


@dataclass(frozen=True)
class NewPlan:
    answer: AgentResponse
    message: str
    policy: str
    chain: list[str]
    fallback_after_s: float | None
    note: str | None = None


async def plan(db: Database, new: NewPlan, rows: list[PlannedRow], hand: Hand) -> Queued:
    """Write a plan, its deliveries and their queue rows; nothing if the request has a plan already."""
    answer = new.answer
    found = await db.fetch(
        PLAN,
        [row.as_json() for row in rows],
        hand.worker,
        hand.trace,
        answer.request_id,
        answer.person.user_id,
        answer.session_id,
        new.message,
        new.policy,
        new.chain,
        new.fallback_after_s,
        new.note,
    )
    return queued_of(found)


async def move_on(
    db: Database, due: DuePlan, position: int, rows: list[PlannedRow], hand: Hand, fallback_after_s: float | None
) -> Queued:
    """Start the plan's integration at `position`; nothing if somebody was faster or the message has been delivered."""
    json = [row.as_json() for row in rows]
    found = await db.fetch(
        MOVE_ON, json, hand.worker, hand.trace, due.request_id, due.position, position, fallback_after_s
    )
    return queued_of(found)


async def no_further(db: Database, due: DuePlan) -> None:
    await db.execute(NO_FURTHER, due.request_id, due.position)


async def exists(db: Database, request_id: UUID) -> bool:
    """Whether the end of a request has come."""
    return bool(await db.fetchval("select exists(select from delivery_plans where request_id = $1)", request_id))


async def due_plans(db: Database, after: UUID) -> list[DuePlan]:
    """A page of them: those of the requests that follow `after`."""
    return [DuePlan(**dict(row)) for row in await db.fetch(DUE_PLANS, after)]


async def due_plan(db: Database, request_id: UUID) -> DuePlan | None:
    row = await db.fetchrow(DUE_PLAN, request_id)
    return DuePlan(**dict(row)) if row else None


def queued_of(rows: list[asyncpg.Record]) -> Queued:
    deliveries = [row for row in rows if row["is_delivery"]]
    own = [
        WorkItem(row["id"], DELIVERIES, row["key"], row["ref"], row["payload"], claim=row["claim"])
        for row in deliveries
        if row["leased_by"] is not None
    ]
    return Queued(own, has_events=len(deliveries) < len(rows), has_others=len(own) < len(deliveries))


async def warm(db: Database) -> None:
    """Both statements once, with nothing to write."""
    nobody = UUID(int=0)
    await db.fetch(PLAN, [], None, "", nobody, nobody, nobody, "", "", [], None, None)
    await db.fetch(MOVE_ON, [], None, "", nobody, 0, 0, None)
