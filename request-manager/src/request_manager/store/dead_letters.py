"""What of a request changes when its dead hand-over is replayed."""

from uuid import UUID

from shared_models.database import Database

from request_manager.domain.ends import EndReason
from request_manager.store.requests import ENDS_QUEUE

TAKE_WISH_BACK = f"""
with freed as (
  update request_logs set end_wish = null, end_wished_at = null
  where request_id = $1 and ended_at is null and end_wish = '{EndReason.UNDELIVERABLE}'
  returning request_id
)
delete from work_items w using freed f
where w.queue = '{ENDS_QUEUE}' and w.ref = f.request_id::text and w.leased_by is null
  and w.payload ->> 'reason' = '{EndReason.UNDELIVERABLE}'
"""


async def take_wish_back(database: Database, request_id: UUID) -> None:
    """An open request that could not be brought to an agent is about to be tried again: nobody wants its end now."""
    await database.execute(TAKE_WISH_BACK, request_id)
