"""Statements of SMS: the messages at the provider, and the phones that want none."""

from dataclasses import dataclass
from uuid import UUID

from shared_models.database import Database
from shared_models.work_statements import enqueue

from integration_dispatcher.domain.sms_callbacks import FAILURES, FINAL_RANK, UNDER_WAY
from integration_dispatcher.sms_provider import SentSms
from integration_dispatcher.store.names import OPEN, report_items

FAILED = "('" + "', '".join(FAILURES) + "')"

KNOWN = f"""
select sid from sms_messages
where delivery_id = $1 and part = $2 and status not in {FAILED} order by created_at limit 1
"""

CLAIM = """
insert into sms_messages as m (sid, delivery_id, part, status, rank) values ($1, $2, $3, $4, $5)
on conflict (sid) do update set updated_at = now() where m.delivery_id = $2 and m.part = $3
returning 1
"""

# States only move forward, and the first end holds: reports come in any order, and again.
REPORT = f"""
insert into sms_messages as m (sid, delivery_id, part, status, rank, error_code, is_due)
values ($1, $2, $3, $4, $5, $6::int, $4 in {FAILED})
on conflict (sid) do update
set status = excluded.status, rank = excluded.rank, error_code = excluded.error_code, is_due = excluded.is_due,
    updated_at = now()
where m.rank < excluded.rank
returning is_due
"""

DUE = "select sid, error_code from sms_messages where is_due order by updated_at limit 100"

# The plan's row is locked first, as by every end of a delivery. While the delivery is open, its end is still to be written:
# the report waits for that.
UNDELIVERED = f"""
with message as materialized (
  select * from sms_messages where sid = $1 and is_due
), plan as materialized (
  select p.* from delivery_plans p join delivery_logs d on d.request_id = p.request_id
  join message m on d.id = m.delivery_id and d.part = m.part for no key update of p
), ended as (
  update delivery_logs d set status = 'failed', reason = $2, failures = d.failures + 1, ended_at = now()
  from message m
  where d.id = m.delivery_id and d.part = m.part and d.status = 'delivered' and d.provider_id = m.sid
    and exists (select from plan)
  returning d.*
), attempt as (
  update delivery_attempts a set outcome = 'rejected', code = $3::int, detail = $2
  from ended e where a.delivery_id = e.id and a.part = e.part and a.outcome = 'delivered'
), settled as (
  update sms_messages m set is_due = false, updated_at = now()
  where m.sid = $1 and m.is_due and not exists (
    select from delivery_logs d where d.id = m.delivery_id and d.part = m.part and d.status in {OPEN})
), others as (
  select min(o.ended_at) as delivered_at from delivery_logs o join ended e on o.request_id = e.request_id
  where o.id <> e.id and o.status = 'delivered'
), onward as (
  update delivery_plans p
  set delivered_at = o.delivered_at,
      fallback_at = case when o.delivered_at is null and p.policy = 'first_success' and p.position = e.rank
                          and p.position + 1 < cardinality(p.chain) then now() end
  from ended e, others o where p.request_id = e.request_id
  returning p.request_id, p.fallback_at
), source as (
  {report_items("ended", worker="null::text", trace="''")}
), {enqueue("item", "source")}
select (select request_id from onward where fallback_at is not null) as request_id, exists(select from item) as has_event
"""

STOP = """
insert into sms_phones (phone, stopped_at) values ($1, now())
on conflict (phone) do update set stopped_at = coalesce(sms_phones.stopped_at, now())
"""

# One statement: a text that is delivered again changes nothing. A polite answer goes out once a day, so that two machines
# do not talk for ever.
TEXT = f"""
with text as (
  insert into sms_messages (sid, status, rank) values ($1, 'received', {FINAL_RANK}) on conflict do nothing returning sid
)
insert into sms_phones as p (phone, stopped_at, answered_at)
select $2, case when $3 = 'stop' then now() end, case when $4 then now() end from text
on conflict (phone) do update
set stopped_at = case $3 when 'stop' then coalesce(p.stopped_at, now()) when 'start' then null else p.stopped_at end,
    answered_at = case when $4 and not coalesce(p.answered_at > now() - interval '1 day', false) then now()
                       else p.answered_at end
returning $4 and p.answered_at = now() and p.stopped_at is null as is_to_answer
"""


@dataclass(frozen=True)
class Report:
    """What the provider says of a message. `rank`: the place of its status."""

    sid: str
    delivery_id: UUID
    part: int
    status: str
    rank: int
    error_code: int | None = None


@dataclass(frozen=True)
class Undelivered:
    """`falls_back`: the request whose next integration is due. `has_event`: a row of the events' queue was written."""

    falls_back: UUID | None
    has_event: bool


@dataclass(frozen=True)
class Journal:
    """What the handler notes and asks. Raises Unavailable."""

    database: Database

    async def known(self, delivery_id: UUID, part: int) -> str | None:
        sid = await self.database.fetchval(KNOWN, delivery_id, part)
        return sid if isinstance(sid, str) else None

    async def claim(self, sent: SentSms, delivery_id: UUID, part: int) -> bool:
        # Its end is told by a report: a list that says more must not keep the report from being heard.
        status = sent.status if sent.status in UNDER_WAY else UNDER_WAY[0]
        rank = UNDER_WAY.index(status)
        return await self.database.fetchval(CLAIM, sent.sid, delivery_id, part, status, rank) is not None

    async def stop(self, phone: str) -> None:
        await self.database.execute(STOP, phone)


async def report(db: Database, told: Report) -> bool:
    """Note a status. True when the delivery is to be undone."""
    row = (told.sid, told.delivery_id, told.part, told.status, told.rank, told.error_code)
    return bool(await db.fetchval(REPORT, *row))


async def due(db: Database) -> list[tuple[str, int | None]]:
    """Messages that were not delivered and whose deliveries do not say so yet: name and error."""
    return [(row["sid"], row["error_code"]) for row in await db.fetch(DUE)]


async def undelivered(db: Database, sid: str, reason: str, code: int | None) -> Undelivered:
    """Turn a delivery that the provider had taken into a failed one."""
    row = await db.fetchrow(UNDELIVERED, sid, reason, code)
    assert row is not None
    return Undelivered(row["request_id"], row["has_event"])


async def text(db: Database, sid: str, phone: str, wish: str, *, is_question: bool) -> bool:
    """Note what a person has texted. True when it is to be answered."""
    return bool(await db.fetchval(TEXT, sid, phone, wish, is_question))
