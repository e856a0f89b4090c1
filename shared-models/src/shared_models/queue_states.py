"""What the operators' port shows of the queues of a service."""

from collections.abc import Iterable

from shared_models.database import Database
from shared_models.enums import ServiceName
from shared_models.telemetry import DEAD_LETTERS, DEPTH, DUE_AGE, OLDEST_AGE

# A row that waits for its next try counts: the age tells for how long something has not been done.
STATES = """
select queue, count(*) filter (where dead_at is null) as depth, count(dead_at) as dead,
       coalesce(extract(epoch from now() - min(created_at) filter (where dead_at is null)), 0)::float8 as oldest_s
from work_items where starts_with(queue, $1 || '.') group by queue
"""

# What more replicas would shorten: rows that could run now. Those of a lane that is leased, or that pauses, wait for their turn.
DUE = """
select w.queue, extract(epoch from now() - min(greatest(w.run_at, coalesce(l.run_at, w.run_at))))::float8 as due_s
from work_items w left join lanes l on l.queue = w.queue and l.key = w.key
where starts_with(w.queue, $1 || '.') and w.dead_at is null and w.leased_by is null and w.run_at <= now()
  and (w.key is null or (l.leased_by is null and l.run_at <= now()))
group by w.queue
"""


async def refresh_gauges(database: Database, service: ServiceName, queues: Iterable[str]) -> None:
    """Set depth, ages in seconds and dead letters of each queue; those of `queues` that are empty to 0."""
    found = {row["queue"]: row for row in await database.fetch(STATES, service.value)}
    due = {row["queue"]: row["due_s"] for row in await database.fetch(DUE, service.value)}
    for name in {*queues, *found}:
        row = found.get(name)
        DEPTH.labels(name).set(row["depth"] if row else 0)
        DEAD_LETTERS.labels(name).set(row["dead"] if row else 0)
        OLDEST_AGE.labels(name).set(row["oldest_s"] if row else 0.0)
        DUE_AGE.labels(name).set(due.get(name, 0.0))
