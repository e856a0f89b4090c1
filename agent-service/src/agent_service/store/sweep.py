"""Finding runs that nobody will finish."""

from typing import Any

from shared_models.database import Database

from agent_service.store.intake import RUNS

DEAD = f"""
select w.id, r.request from work_items w join agent_runs r on r.request_id = w.ref::uuid
where w.queue = '{RUNS}' and w.dead_at is not null and r.ended_at is null order by w.id limit 50
"""
FORGET_DEAD = f"""
delete from work_items w using agent_runs r
where w.queue = '{RUNS}' and w.dead_at is not null and r.request_id = w.ref::uuid and r.ended_at is not null
"""


async def dead_runs(database: Database) -> list[dict[str, Any]]:
    """The requests of runs whose work item was given up."""
    return [row["request"] for row in await database.fetch(DEAD)]


async def forget_dead(database: Database) -> None:
    """A dead work item whose run has ended has nothing left to do."""
    await database.execute(FORGET_DEAD)
