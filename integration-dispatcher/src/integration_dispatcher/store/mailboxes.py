"""Who reads a mailbox, and how many answers a sender has had of late."""

from shared_models.database import Database

# The lease names a worker, as every lease does: it is free when that one is dead.
TAKE = """
insert into mailbox_readers (mailbox, worker_id) values ($1, $2)
on conflict (mailbox) do update set worker_id = excluded.worker_id, taken_at = now()
where mailbox_readers.worker_id = excluded.worker_id
   or not exists (select from workers w where w.id = mailbox_readers.worker_id and w.alive_until > now())
returning worker_id
"""
GIVE_BACK = "delete from mailbox_readers where mailbox = $1 and worker_id = $2"

LOCK = "select pg_advisory_xact_lock(hashtextextended('mail_answers:' || $1, 0))"
COUNT_ANSWER = """
with known as (select from mail_answers where dedupe_key = $2),
recent as (select count(*) as count from mail_answers where sender = $1 and answered_at > now() - interval '1 hour'),
new as (
  insert into mail_answers (dedupe_key, sender)
  select $2, $1 from recent where not exists (select from known) and count < $3
  returning 1
)
select case when exists (select from known) then 0 when exists (select from new) then $3 - count - 1 else -1 end
from recent
"""


async def take(db: Database, mailbox: str, worker_id: str) -> bool:
    """True while this worker is the one that reads."""
    return await db.fetchval(TAKE, mailbox, worker_id) is not None


async def give_back(db: Database, mailbox: str, worker_id: str) -> None:
    await db.execute(GIVE_BACK, mailbox, worker_id)


async def count_answer(db: Database, sender: str, dedupe_key: str, per_hour: int) -> int:
    """Count one automatic answer to a sender, once for each mail. Returns how many are left within the hour, -1: none was."""
    async with db.transaction() as tx:
        await tx.execute(LOCK, sender)
        left = await tx.fetchval(COUNT_ANSWER, sender, dedupe_key, per_hour)
    return left if isinstance(left, int) else -1
