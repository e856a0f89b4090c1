"""Finding runs that nobody will finish."""

from typing import Any

from shared_models.database import Database

from agent_service.store.intake import RUNS

DEAD = f"""
select w.id, r.request from work_items w join agent_runs r on r.request_id = w.ref::uuid
where w.queue = '{RUNS}' and w.dead_at is not null and r.ended_at is null order by w.id limit 50
"""


async def dead_runs(database: Database) -> list[dict[str, Any]]:
    """The requests of runs whose work item was given up."""
    return [row["request"] for row in await database.fetch(DEAD)]
