"""Events of runs for those who watch, and the rows that say who watches. Not durable: both tables are unlogged."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
from shared_models.database import Database

from agent_service.domain.run_events import RunEvent

WATCHED_S = 60
KEPT_MINUTES = 10

APPEND = """
with added as (
  insert into run_events (request_id, attempt, n, event, data)
  select $1::uuid, $2::int, e.n, e.event, e.data from jsonb_to_recordset($3::jsonb) as e (n int, event text, data jsonb)
  on conflict do nothing
)
select exists(select from run_watchers where request_id = $1 and worker <> $4::text and until > now())
"""
WATCH = f"""
insert into run_watchers (request_id, worker, until) values ($1, $2, now() + interval '{WATCHED_S} seconds')
on conflict (request_id, worker) do update set until = excluded.until
"""
READ = """
select r.state, r.answer, r.agent,
       (select jsonb_agg(jsonb_build_array(attempt, n, event, data) order by attempt, n) from run_events
        where request_id = $1 and (attempt, n) > ($2::int, $3::int)) as events
from agent_runs r where r.request_id = $1
"""
REMOVE_OLD = f"""
with watchers as (delete from run_watchers where until < now() - interval '{KEPT_MINUTES} minutes')
delete from run_events where at < now() - interval '{KEPT_MINUTES} minutes'
"""


@dataclass(frozen=True)
class Seen:
    """The events behind a place, and the run's state in the same snapshot. `answer`: JSON, once the run has ended."""

    state: str
    agent: str | None
    answer: bytes | None
    events: list[RunEvent]


async def append(database: Database, request_id: UUID, events: Sequence[RunEvent], worker: str) -> bool:
    """Keep the events (of one attempt). True when another process watches this run."""
    rows = [{"n": event.n, "event": event.event, "data": event.data} for event in events]
    return bool(await database.fetchval(APPEND, request_id, events[0].attempt, rows, worker))


async def watch(database: Database, request_id: UUID, worker: str) -> None:
    """Say that somebody in this process watches, for the next 60 s."""
    await database.execute(WATCH, request_id, worker)


async def read(database: Database, request_id: UUID, attempt: int, n: int) -> Seen | None:
    """What came after event `n` of `attempt`. None: there is no such run."""
    row = await database.fetchrow(READ, request_id, attempt, n)
    if row is None:
        return None
    answer = orjson.dumps(row["answer"]) if row["answer"] is not None else None
    return Seen(row["state"], row["agent"], answer, [RunEvent(*fields) for fields in row["events"] or ()])


async def remove_old(database: Database) -> None:
    await database.execute(REMOVE_OLD)
