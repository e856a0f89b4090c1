"""Failed deliveries as dead letters. What was refused from the start (rank -1) was never tried: it is none.

Nor is what another integration has delivered instead: replayed, it would come a second time."""

from uuid import UUID

from shared_models.database import Database
from shared_models.dead_letter_box import WORK_ITEMS

GIVEN_UP = "('failed', 'expired')"
UNDELIVERED = f"""
d.status in {GIVEN_UP} and d.discarded_at is null and d.rank >= 0 and not exists (
  select from delivery_plans p
  where p.request_id = d.request_id and p.policy = 'first_success' and p.delivered_at is not null
)"""

# The columns of WORK_ITEMS. One letter per message: its first part that failed.
FAILED = f"""
select ($1::text || ':' || d.id) collate "C", $1, 'delivery', $1 || '.deliveries', d.request_id::text, d.reason,
       (select count(*) from delivery_attempts a where a.delivery_id = d.id), 0, d.created_at, d.ended_at, true,
       jsonb_build_object('delivery_id', d.id, 'integration', d.integration, 'status', d.status)
from delivery_logs d
where {UNDELIVERED} and d.ended_at is not null
  and not exists (select from delivery_logs o where o.id = d.id and o.part < d.part and o.status in {GIVEN_UP})
"""
LETTERS = f"{WORK_ITEMS} union all {FAILED}"

DISCARD = f"""
update delivery_logs set discarded_at = now() where id = $1 and status in {GIVEN_UP} and discarded_at is null returning id
"""
COUNT = f"select count(distinct d.id) from delivery_logs d where {UNDELIVERED}"


async def count(db: Database) -> int:
    """How many deliveries have failed, with no other in their place, and are neither replayed nor discarded."""
    found = await db.fetchval(COUNT)
    return found if isinstance(found, int) else 0


async def discard(db: Database, delivery_id: UUID) -> bool:
    """Take it off the list of dead letters; the person still sees how it ended. False when it is not there."""
    return bool(await db.fetch(DISCARD, delivery_id))
