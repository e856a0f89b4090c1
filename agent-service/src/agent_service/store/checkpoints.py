"""The steps of a run while it is at work: one statement for what has happened and what happens next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared_models.database import Database

from agent_service.domain.confirmations import Asked, State
from agent_service.domain.turn import Step

STEPS = """
steps as (
  insert into run_steps (request_id, n, is_result, kind, data)
  select $1, s.n, s.is_result, s.kind, s.data
  from run, jsonb_to_recordset($3::jsonb) as s (n smallint, kind text, is_result bool, data jsonb)
  on conflict do nothing
)"""

CHECKPOINT = f"""
with run as (
  select request_id from agent_runs where request_id = $1::uuid and attempt = $2::int and state = 'processing'
), {STEPS}
select exists(select from run) as goes_on,
       exists(select from run_watchers w where w.request_id = $1 and w.until > now()) as is_watched
"""

DECIDE = f"""
with found as (
  select request_id from agent_runs where request_id = $1::uuid and attempt = $2::int and state = 'processing'
), run as (
  update confirmations c set state = $5::text, answered_by = $1, answered_at = now() from found
  where c.id = $4::uuid and c.state = 'open' and c.expires_at > now()
  returning c.id
), {STEPS}
select exists(select from found) as goes_on, exists(select from run) as is_decided
"""


def rows_of(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [{"n": step.n, "kind": step.kind, "is_result": step.is_result, "data": step.data} for step in steps]


@dataclass(frozen=True)
class Saved:
    """`goes_on`: the run is still ours and has not ended."""

    goes_on: bool
    is_watched: bool = False
    is_decided: bool = False


async def checkpoint(database: Database, request_id: UUID, attempt: int, steps: Sequence[Step]) -> Saved:
    row = await database.fetchrow(CHECKPOINT, request_id, attempt, rows_of(steps))
    assert row is not None
    return Saved(row["goes_on"], is_watched=row["is_watched"])


async def decide(
    database: Database, request_id: UUID, attempt: int, steps: Sequence[Step], asked: Asked, state: State
) -> Saved:
    """Use up an open confirmation and save what follows from it. `is_decided`: it was open until now."""
    row = await database.fetchrow(DECIDE, request_id, attempt, rows_of(steps), asked.id, state.value)
    assert row is not None
    return Saved(row["goes_on"], is_decided=row["is_decided"])
