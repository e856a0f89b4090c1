"""Statements of the sweep. Each is a small batch."""

from shared_models.database import Database
from shared_models.work_item import WorkItem
from shared_models.work_statements import REMOVE_IDLE_LANES, enqueue

from request_manager.domain.ends import EndReason
from request_manager.store.accept import REQUESTS_QUEUE
from request_manager.store.requests import ENDS_QUEUE

SWEEP_LOCK = 0x55A_0002
BATCH = 200
KEPT_KEY_HOURS = 24
DEAD_LOOK_BACK = "2 days"

LOCK = "select pg_try_advisory_xact_lock($1)"

# Overdue requests, again every hour; and those whose hand-over is dead. The asking itself is queued work.
WISH_ENDS = f"""
with overdue as (
  select request_id from request_logs
  where ended_at is null and deadline_at <= now()
    and (end_wished_at is null or end_wished_at < greatest(deadline_at, now() - interval '1 hour'))
  order by deadline_at limit {BATCH} for update skip locked
),
dead as (
  select r.request_id from work_items w join request_logs r on r.request_id = w.ref::uuid
  where w.queue = '{REQUESTS_QUEUE}' and w.dead_at > now() - interval '{DEAD_LOOK_BACK}'
    and r.ended_at is null and r.end_wish is null
  order by r.request_id limit {BATCH} for update of r skip locked
),
due as (
  select request_id, '{EndReason.EXPIRED}' as reason from overdue
  union all
  select request_id, '{EndReason.UNDELIVERABLE}' from dead where request_id not in (select request_id from overdue)
),
wished as (
  update request_logs r set end_wish = due.reason, end_wished_at = now()
  from due where r.request_id = due.request_id
  returning r.request_id, due.reason
),
work as (
  select '{ENDS_QUEUE}' as queue, null::text as key, null::bigint as seq, request_id::text as ref,
         jsonb_build_object('reason', reason) as payload, null::text as worker
  from wished
),
{enqueue("item", "work")}
select count(*) from item
"""

# What was given up while its process died, and so was never acted upon.
DEAD_ENDS = f"""
select w.id, w.queue, w.key, w.ref, w.payload from work_items w
where w.queue = '{ENDS_QUEUE}' and w.dead_at is not null
  and case when w.payload ? 'close'
      then exists (select from conversations c where c.session_id = w.ref::uuid and c.status = 'closing')
      else w.payload ->> 'reason' in ('{EndReason.EXPIRED}', '{EndReason.UNDELIVERABLE}')
           and exists (select from request_logs r where r.request_id = w.ref::uuid and r.ended_at is null) end
order by w.id limit {BATCH}
"""

FREE_KEYS = f"""
update request_logs set idempotency_key = null, body_hash = null where request_id in (
  select request_id from request_logs
  where idempotency_key is not null and created_at < now() - interval '{KEPT_KEY_HOURS} hours'
  order by created_at limit 1000 for update skip locked
)
"""


async def sweep(database: Database) -> int | None:
    """One round: wish for the ends that are due, free old idempotency keys, remove idle lanes.

    Returns how many ends were queued; None when another replica is at it."""
    async with database.transaction() as tx:
        if not await tx.fetchval(LOCK, SWEEP_LOCK):
            return None
        queued = await tx.fetchval(WISH_ENDS)
    for statement in (FREE_KEYS, REMOVE_IDLE_LANES):
        await database.execute(statement)
    return int(queued)


async def dead_ends(database: Database) -> list[WorkItem]:
    """Given up, though the request is still open or the conversation still closing."""
    return [WorkItem(**dict(row)) for row in await database.fetch(DEAD_ENDS)]
