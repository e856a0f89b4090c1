"""Statements of notes: what a person is told on another integration when an answer could not be delivered."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg
from shared_models.database import Database
from shared_models.schemas import AgentResponse

from integration_dispatcher.store.plans import PLANNED, Hand, PlannedRow, Queued, queued_of

DUE = """
select p.request_id, p.user_id, p.message, p.note,
       coalesce((select jsonb_agg(distinct jsonb_build_array(d.integration, d.reason)) from delivery_logs d
                 where d.request_id = p.request_id and d.kind <> 'note' and d.status in ('failed', 'expired')), '[]') as failures
from delivery_plans p where p.note is not null and p.message <> '' and p.request_id > $1 order by p.request_id limit 50
"""
# Whoever comes second finds no note any more; a note that was sent already is not sent again.
TELL = f"""
with plan as (
  update delivery_plans set note = null where request_id = $4 and note is not null
  returning request_id, session_id, user_id
), {PLANNED}
"""


@dataclass(frozen=True)
class DueNote:
    """`note`: failed or disabled. `failures`: integration and reason of what could not be delivered. `message` as in DuePlan."""

    request_id: UUID
    user_id: UUID
    message: str
    note: str
    failures: list[tuple[str, str]]

    def answer(self) -> AgentResponse:
        """Raises ValidationError."""
        return AgentResponse.read_json(self.message)


async def due(db: Database, after: UUID) -> list[DueNote]:
    """A page of them: those of the requests that follow `after`."""
    return [_due(row) for row in await db.fetch(DUE, after)]


async def tell(db: Database, request_id: UUID, rows: list[PlannedRow], hand: Hand) -> Queued:
    """Plan the parts of a note, once per request; without rows it is settled in silence."""
    json = [row.as_json() for row in rows]
    return queued_of(await db.fetch(TELL, json, hand.worker, hand.trace, request_id))


def _due(row: asyncpg.Record) -> DueNote:
    failures = [(integration, reason) for integration, reason in row["failures"]]
    return DueNote(row["request_id"], row["user_id"], row["message"], row["note"], failures)
