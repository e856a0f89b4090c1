"""The statements of the work queue. `enqueue` and `complete` return CTEs, so that a step's effect and its queue rows are one statement.

A *lane* keeps the order of one key: inserting bumps it, claiming takes lanes first and looks for each lane's first row in
a NEW statement (the snapshot of the first is older than its locks), completing looks for nothing and so can miss nothing."""

from shared_models.database import Database


def enqueue(name: str, source: str) -> str:
    """CTEs `name_lane` and `name` that queue the rows of CTE `source`.

    `source` has the columns queue, key (null: no order), seq (null: next of the lane), ref, payload (jsonb), worker (who
    runs it at once; null: whoever claims it); at most one row per (queue, key). `name` returns id, queue, key, seq, ref,
    claim, leased_by: a row with leased_by = worker is already claimed and must be handed off to the own queue."""
    return f"""
{name}_lane as (
  insert into lanes (queue, key, pending, next_seq, leased_by)
  select queue, key, 1, 2, worker from {source} where key is not null
  on conflict (queue, key) do update
  set pending = lanes.pending + 1, next_seq = lanes.next_seq + 1, updated_at = now(),
      leased_by = case when lanes.pending = 0 then excluded.leased_by else lanes.leased_by end,
      run_at = case when lanes.pending = 0 then now() else lanes.run_at end
  returning queue, key, next_seq - 1 as seq, pending = 1 as is_first
),
{name} as (
  insert into work_items (queue, key, seq, ref, payload, leased_by, claim)
  select s.queue, s.key, coalesce(s.seq, l.seq, 0), s.ref, s.payload,
         case when s.key is null or l.is_first then s.worker end,
         case when s.worker is not null and (s.key is null or l.is_first) then 1 else 0 end
  from {source} s left join {name}_lane l on l.queue = s.queue and l.key = s.key
  returning id, queue, key, seq, ref, claim, leased_by
)"""


def complete(name: str, *, item: str, claim: str, worker: str) -> str:
    """CTEs `name` and `name_lane` that delete a finished row, if its claim still stands, and free its lane.

    `name` returns one row when the claim stood, else none; `name_lane` returns `pending`."""
    return f"""
{name} as (
  delete from work_items where id = {item} and claim = {claim} and leased_by = {worker} and dead_at is null
  returning id, queue, key
),
{name}_lane as (
  update lanes l set pending = l.pending - 1, leased_by = null, run_at = now(), updated_at = now()
  from {name} d where l.queue = d.queue and l.key = d.key
  returning l.pending
)"""


def complete_rows(name: str, source: str, *, worker: str) -> str:
    """As `complete`, for all rows of CTE `source` (columns item, claim; null: none). `name` returns id, queue, key; `name_lane`
    queue, key and pending."""
    return f"""
{name} as (
  delete from work_items w using {source} s
  where w.id = s.item and w.claim = s.claim and w.leased_by = {worker} and w.dead_at is null
  returning w.id, w.queue, w.key
),
{name}_lane as (
  update lanes l set pending = l.pending - 1, leased_by = null, run_at = now(), updated_at = now()
  from {name} d where l.queue = d.queue and l.key = d.key
  returning l.queue, l.key, l.pending
)"""


COMPLETE = f"""
with finished as (select * from unnest($1::bigint[], $2::int[]) as f (item, claim)),
{complete_rows("done", "finished", worker="$3::text")}
select f.item, coalesce(l.pending, 0) as pending
from finished f left join done d on d.id = f.item left join done_lane l on l.queue = d.queue and l.key = d.key
"""

CLAIM_FREE_ROWS = """
with due as (
  select id from work_items
  where queue = $1 and key is null and leased_by is null and dead_at is null and run_at <= now()
  order by run_at, id limit $2 for update skip locked
)
update work_items w set leased_by = $3, claim = w.claim + 1 from due where w.id = due.id
returning w.id, w.queue, w.key, w.ref, w.payload, w.attempts, w.lost, w.claim
"""

CLAIM_LANES = """
with due as (
  select queue, key from lanes
  where queue = $1 and pending > 0 and leased_by is null and run_at <= now()
  order by run_at limit $2 for update skip locked
)
update lanes l set leased_by = $3 from due where l.queue = due.queue and l.key = due.key returning l.key
"""

CLAIM_FIRST_ROWS = """
with first as (
  select head.id from unnest($2::text[]) as lane(key)
  cross join lateral (
    select id from work_items where queue = $1 and key = lane.key and dead_at is null order by seq, id limit 1
  ) head
)
update work_items w set leased_by = $3, claim = w.claim + 1 from first where w.id = first.id
returning w.id, w.queue, w.key, w.ref, w.payload, w.attempts, w.lost, w.claim
"""

FREE_EMPTY_LANES = """
update lanes set leased_by = null, run_at = now() + interval '2 seconds'
where queue = $1 and key = any($2::text[]) and leased_by = $3
"""

FAIL = """
with failed as (
  update work_items
  set attempts = attempts + $4, lost = 0, leased_by = null, last_error = $5, run_at = now() + $6 * interval '1 second',
      dead_at = case when $7 then now() end
  where id = $1 and claim = $2 and leased_by = $3
  returning queue, key, run_at
)
update lanes l set leased_by = null, run_at = case when $7 then now() else f.run_at end, pending = l.pending - $7::int
from failed f where l.queue = f.queue and l.key = f.key
"""

RELEASE = """
with released as (
  update work_items set leased_by = null where id = $1 and claim = $2 and leased_by = $3 returning queue, key
)
update lanes l set leased_by = null from released r where l.queue = r.queue and l.key = r.key
"""

# What this worker holds and does not know of: the reply of the statement that leased it was lost with its connection.
FORGOTTEN = """
select id, claim, key from work_items where queue = $1 and leased_by = $2 and not id = any($3::bigint[])
union all
select null, null, key from lanes where queue = $1 and leased_by = $2 and not key = any($4::text[])
"""
FREE_LANE = "update lanes set leased_by = null where queue = $1 and key = $2 and leased_by = $3"

REPLAY = """
with again as (
  update work_items set dead_at = null, attempts = 0, lost = 0, run_at = now()
  where id = $1 and queue = any($2::text[]) and dead_at is not null
  returning id, queue, key, seq
), lane as (
  insert into lanes (queue, key, pending, next_seq) select queue, key, 1, seq + 1 from again where key is not null
  on conflict (queue, key) do update set pending = lanes.pending + 1, run_at = least(lanes.run_at, now())
)
select count(*) from again
"""

REMOVE_IDLE_LANES = """
delete from lanes where (queue, key) in (
  select queue, key from lanes where pending = 0 and leased_by is null and updated_at < now() - interval '1 hour'
  limit 1000 for update skip locked
)
"""


async def replay(database: Database, item_id: int, queues: list[str]) -> bool:
    """Make a dead row of one of `queues` due again. False when there is none."""
    return bool(await database.fetchval(REPLAY, item_id, queues))
