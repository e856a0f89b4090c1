"""Mails that wait until their sender confirms them: for a day from their arrival, once."""

from typing import Any
from uuid import UUID

from shared_models.database import Database
from shared_models.work_statements import enqueue

from integration_dispatcher.store.names import INBOUND

VALID_FOR_HOURS = 24
IS_WAITING = (
    f"id = $1 and provider = 'email' and state = 'held' and received_at > now() - interval '{VALID_FOR_HOURS} hours'"
)

READ = f"select payload from inbound_events where {IS_WAITING}"

# The row is locked by the first who confirms; the second one finds it in another state.
RELEASE = f"""
with released as (
  update inbound_events set state = 'received', reason = '', ended_at = null, payload = payload || '{{"doubt": ""}}'
  where {IS_WAITING}
  returning id, provider, conversation
), source as (
  select '{INBOUND}' as queue, conversation as key, null::bigint as seq, 'confirmed:' || id as ref,
         jsonb_build_object('inbound_id', id, 'integration', provider, 'trace', '') as payload, null::text as worker
  from released
), {enqueue("item", "source")}
select count(*) from item
"""


async def read(db: Database, event_id: UUID) -> dict[str, Any] | None:
    """What is known of a waiting mail."""
    row = await db.fetchrow(READ, event_id)
    return row["payload"] if row is not None else None


async def release(db: Database, event_id: UUID) -> bool:
    """Queue a waiting mail, its sender proven. False: it does not wait."""
    return bool(await db.fetchval(RELEASE, event_id))
