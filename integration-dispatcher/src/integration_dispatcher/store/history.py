"""Statements about what was delivered: lists, attempts, replay, and the inbox of the test integration."""

from uuid import UUID

import asyncpg
from shared_models.database import Database
from shared_models.work_item import WorkItem
from shared_models.work_statements import enqueue

from integration_dispatcher.handlers.base import Message
from integration_dispatcher.store.names import DELIVERIES, OPEN

# One line per message; its state is that of the part that matters most.
VIEW = """
select d.id as delivery_id, d.request_id, d.session_id, d.user_id, d.integration, d.target, d.parts, d.created_at,
       d.expires_at, whole.*, (select count(*) from delivery_attempts a where a.delivery_id = d.id) as attempts
from delivery_logs d cross join lateral (
  select (array_agg(p.status order by weight))[1] as status, (array_agg(p.reason order by weight))[1] as reason,
         (array_agg(p.provider_id order by p.part))[1] as provider_id, bool_or(p.is_late) as is_late,
         min(p.next_attempt_at) as next_attempt_at,
         case when bool_and(p.ended_at is not null) then max(p.ended_at) end as ended_at
  from (
    select *, array_position(array['failed', 'expired', 'retrying', 'pending', 'cancelled', 'delivered'], status) as weight
    from delivery_logs where id = d.id
  ) p
) whole
where d.part = 1 and d.kind <> 'note'
"""
ONE = f"{VIEW} and d.id = $1"
LIST = f"{VIEW} and d.user_id = $1 and ($2::uuid is null or d.id < $2) order by d.id desc limit $3"

ATTEMPTS = """
select part, number, outcome, code, detail, started_at, ended_at
from delivery_attempts where delivery_id = $1 order by part, number limit 500
"""

# A row of a try that was cancelled may still wait in the queue: two rows would send at the same time.
REPLAY = f"""
with again as (
  update delivery_logs d
  set status = 'pending', reason = '', failures = 0, ended_at = null, next_attempt_at = null, replayed_at = now(),
      discarded_at = null,
      expires_at = now() + $2::float8 * interval '1 second'
  where d.id = $1 and d.status in ('failed', 'expired', 'cancelled')
    and not exists (select from delivery_logs o where o.id = $1 and o.status in {OPEN})
  returning *
), stale as (
  delete from work_items w using again g
  where w.queue = '{DELIVERIES}' and w.ref = g.request_id::text and w.payload ->> 'delivery_id' = $1::uuid::text
    and w.leased_by is null and (w.key is null or w.dead_at is not null)
), source as (
  select distinct '{DELIVERIES}' as queue, integration || ':' || target as key, null::bigint as seq,
         request_id::text as ref, jsonb_build_object('delivery_id', id, 'trace', $4::text) as payload, $3::text as worker
  from again
), {enqueue("item", "source")}
select i.id, i.key, i.claim, i.leased_by, s.ref, s.payload from item i cross join source s
"""

KEEP_TEST_MESSAGE = """
insert into test_messages (delivery_id, part, user_id, request_id, content) values ($1, $2, $3, $4, $5)
on conflict do nothing
"""
INBOX = """
select delivery_id, part, request_id, content, received_at from test_messages
where user_id = $1 and ($2::uuid is null or delivery_id > $2) order by delivery_id, part limit $3
"""
CLEAR_INBOX = "delete from test_messages where user_id = $1"


async def delivery(db: Database, delivery_id: UUID) -> asyncpg.Record | None:
    return await db.fetchrow(ONE, delivery_id)


async def deliveries(db: Database, user_id: UUID, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """The newest first; `before` is the last id of the page before."""
    return await db.fetch(LIST, user_id, before, limit)


async def attempts(db: Database, delivery_id: UUID) -> list[asyncpg.Record]:
    return await db.fetch(ATTEMPTS, delivery_id)


async def replay(
    db: Database, delivery_id: UUID, expires_after_s: float, worker: str | None, trace: str
) -> tuple[bool, WorkItem | None]:
    """Try an ended delivery again from the beginning. Returns whether it did, and the queue row if it is ours."""
    row = await db.fetchrow(REPLAY, delivery_id, expires_after_s, worker, trace)
    if row is None:
        return False, None
    item = WorkItem(row["id"], DELIVERIES, row["key"], row["ref"], row["payload"], claim=row["claim"])
    return True, item if row["leased_by"] is not None else None


async def keep_test_message(db: Database, message: Message) -> None:
    values = (message.delivery_id, message.part, message.user_id, message.request_id, message.body)
    await db.execute(KEEP_TEST_MESSAGE, *values)


async def inbox(db: Database, user_id: UUID, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """The oldest first."""
    return await db.fetch(INBOX, user_id, after, limit)


async def clear_inbox(db: Database, user_id: UUID) -> None:
    await db.execute(CLEAR_INBOX, user_id)
