"""Inbound events: one row and one row of work for each thing that a provider brings, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
from shared_models.database import Database
from shared_models.ids import new_id
from shared_models.work_item import WorkItem
from shared_models.work_statements import complete, enqueue

from integration_dispatcher.store.names import INBOUND

# $8: who runs the new rows at once. At most one event of a conversation, as of every lane.
RECORD = f"""
with given as (
  select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::bigint[], $7::text[])
    as g (id, provider, dedupe_key, conversation, payload, seq, trace)
), new as (
  insert into inbound_events (id, provider, dedupe_key, conversation, payload)
  select id, provider, dedupe_key, conversation, payload from given
  on conflict (dedupe_key) do nothing
  returning id
), source as (
  select '{INBOUND}' as queue, conversation as key, seq, dedupe_key as ref,
         jsonb_build_object('inbound_id', id, 'integration', provider, 'trace', trace) as payload, $8::text as worker
  from given join new using (id)
), {enqueue("item", "source")}
select item.id, item.key, item.claim, item.leased_by, source.ref, source.payload from item join source using (key)
"""

READ = """
select id, provider, dedupe_key, conversation, payload, state, user_id, request_id, purged_at is not null as is_purged
from inbound_events where id = $1
"""

# What is ignored is none of our business: its content is not kept.
END = f"""
with ended as (
  update inbound_events
  set state = $2, reason = $3, user_id = $4, request_id = $5, ended_at = now(),
      payload = case when $2 = 'ignored' then '{{}}'::jsonb else payload end
  where id = $1
), {complete("done", item="$6", claim="$7", worker="$8")}
select coalesce((select pending from done_lane), 0)
"""

# A dead row may have no living process that knows of it, so its person's notice is queued by what the tables say.
GIVE_UP = f"""
with dead as (
  select e.id, e.provider, left(coalesce(w.last_error, ''), 300) as reason
  from work_items w join inbound_events e on e.id = (w.payload ->> 'inbound_id')::uuid
  where w.queue = '{INBOUND}' and w.dead_at is not null and not w.payload ? 'notice' and e.state = 'received'
  order by w.id limit 100
), failed as (
  update inbound_events e set state = 'failed', reason = dead.reason, ended_at = now()
  from dead where e.id = dead.id and e.state = 'received'
  returning e.id, e.provider
), source as (
  select '{INBOUND}' as queue, null::text as key, null::bigint as seq, 'notice:' || id as ref,
         jsonb_build_object('inbound_id', id, 'integration', provider, 'notice', true, 'trace', '') as payload,
         null::text as worker
  from failed
), {enqueue("item", "source")}
select count(*) from item
"""

PEOPLE_OF = "select distinct user_id from inbound_events where conversation = $1 and request_id is not null"
OF_REQUEST = "select id, provider, conversation, payload from inbound_events where request_id = $1 limit 1"


@dataclass(frozen=True)
class NewInbound:
    """What a provider brings. `dedupe_key`: the same for every repetition, and begins with the provider.

    Events of one `conversation` are worked on one after the other, by `order` if it is given (a rising number), else as
    they came. `payload`: JSON, what its processor needs and no more."""

    provider: str
    dedupe_key: str
    conversation: str
    payload: dict[str, Any]
    order: int | None = None


@dataclass(frozen=True)
class Arrived:
    """A new event with the trace that it belongs to."""

    new: NewInbound
    trace: str = ""


@dataclass(frozen=True)
class InboundEvent:
    """A stored one. `state`: received, forwarded, answered, ignored, held (a mail that its sender is to confirm), failed."""

    id: UUID
    provider: str
    dedupe_key: str
    conversation: str
    payload: dict[str, Any]
    state: str = "received"
    user_id: UUID | None = None
    request_id: UUID | None = None
    is_purged: bool = False


@dataclass(frozen=True)
class Ended:
    """What came of an event: forwarded (then `request_id` is set), answered on the spot, ignored or held for a `reason`."""

    state: str
    reason: str = ""
    user_id: UUID | None = None
    request_id: UUID | None = None


@dataclass(frozen=True)
class Recorded:
    """`is_new` False: it had been recorded before. `own`: its work, when it is leased to the given worker."""

    is_new: bool
    own: WorkItem | None = field(default=None)


async def record(db: Database, events: Sequence[Arrived], *, worker: str | None) -> list[Recorded]:
    """Write events of different conversations and their rows of work in one statement, each dedupe key once.

    Returns what became of each, in their order."""
    columns = zip(*(_columns(each) for each in events), strict=True)
    rows = {row["ref"]: row for row in await db.fetch(RECORD, *map(list, columns), worker)}
    return [_recorded(rows.get(each.new.dedupe_key)) for each in events]


def _columns(each: Arrived) -> tuple[object, ...]:
    new = each.new
    return (new_id(), new.provider, new.dedupe_key, new.conversation, new.payload, new.order, each.trace)


def _recorded(row: asyncpg.Record | None) -> Recorded:
    if row is None:
        return Recorded(is_new=False)
    if row["leased_by"] is None:
        return Recorded(is_new=True)
    item = WorkItem(row["id"], INBOUND, row["key"], row["ref"], row["payload"], claim=row["claim"])
    return Recorded(is_new=True, own=item)


async def read(db: Database, event_id: UUID) -> InboundEvent | None:
    row = await db.fetchrow(READ, event_id)
    return InboundEvent(**dict(row)) if row is not None else None


async def end(db: Database, event_id: UUID, ended: Ended, item: WorkItem, worker_id: str) -> int:
    """Write down what came of it and complete its row of work. Returns how many rows are left in the lane."""
    pending = await db.fetchval(
        END, event_id, ended.state, ended.reason, ended.user_id, ended.request_id, item.id, item.claim, worker_id
    )
    return pending if isinstance(pending, int) else 0


async def give_up(db: Database) -> int:
    """Mark what is dead as failed and queue the notice to its person. Returns how many."""
    count = await db.fetchval(GIVE_UP)
    return count if isinstance(count, int) else 0


async def people_of(db: Database, conversation: str) -> set[UUID]:
    """Whose messages of this conversation have become requests."""
    return {row["user_id"] for row in await db.fetch(PEOPLE_OF, conversation)}


async def of_request(db: Database, request_id: UUID) -> InboundEvent | None:
    """The event that has become this request."""
    row = await db.fetchrow(OF_REQUEST, request_id)
    return InboundEvent(row["id"], row["provider"], "", row["conversation"], row["payload"]) if row else None


async def warm(db: Database) -> None:
    """The statements behind an acknowledgement once, with nothing to do."""
    nobody = UUID(int=0)
    await read(db, nobody)
    await end(db, nobody, Ended("ignored"), WorkItem(0, "", None, "", {}), "")


async def warm_recording(db: Database) -> None:
    """The statement before an acknowledgement once, with nothing to do."""
    await db.fetch(RECORD, [], [], [], [], [], [], [], None)
