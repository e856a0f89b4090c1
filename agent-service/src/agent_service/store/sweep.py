"""Finding runs that nobody will finish, and how full the queues are."""

from dataclasses import dataclass
from typing import Any

from shared_models.database import Database

from agent_service.store.intake import EVENTS, RUNS

DEAD = f"""
select w.id, r.request from work_items w join agent_runs r on r.request_id = w.ref::uuid
where w.queue = '{RUNS}' and w.dead_at is not null and r.ended_at is null order by w.id limit 50
"""


async def dead_runs(database: Database) -> list[dict[str, Any]]:
    """The requests of runs whose work item was given up."""
    return [row["request"] for row in await database.fetch(DEAD)]


QUEUES = """
select queue, count(*) filter (where dead_at is null) as depth, count(dead_at) as dead,
       coalesce(extract(epoch from now() - min(run_at) filter (where dead_at is null and run_at <= now())), 0) as oldest_s
from work_items where queue = any($1::text[]) group by queue
"""


@dataclass(frozen=True)
class QueueState:
    """`oldest_s`: age of the oldest due row in seconds."""

    depth: int = 0
    dead: int = 0
    oldest_s: float = 0.0


async def queue_states(database: Database) -> dict[str, QueueState]:
    states = {RUNS: QueueState(), EVENTS: QueueState()}
    for row in await database.fetch(QUEUES, list(states)):
        states[row["queue"]] = QueueState(row["depth"], row["dead"], float(row["oldest_s"]))
    return states
