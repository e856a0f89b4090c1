"""A delivered mail that came back."""

from uuid import UUID

from shared_models.database import Database
from shared_models.work_statements import enqueue

from integration_dispatcher.store.names import report_items

BOUNCED = f"""
with ended as (
  update delivery_logs d set status = 'failed', reason = $2, ended_at = now()
  where d.id = $1 and d.integration = 'email' and d.status = 'delivered'
  returning d.*
), attempt as (
  insert into delivery_attempts (delivery_id, part, number, ended_at, outcome, detail)
  select e.id, e.part, (
    select coalesce(max(a.number), 0) + 1 from delivery_attempts a where a.delivery_id = e.id and a.part = e.part),
    now(), 'rejected', $2
  from ended e
), onward as (
  update delivery_plans p set fallback_at = now(), delivered_at = null
  from ended e
  where p.request_id = e.request_id and p.policy = 'first_success' and p.position = e.rank
    and p.position + 1 < cardinality(p.chain)
    and not exists (
      select from delivery_logs o where o.request_id = e.request_id and o.id <> e.id and o.status = 'delivered')
), source as (
  {report_items("ended", worker="null::text", trace="''")}
), {enqueue("item", "source")}
select exists (select from ended)
"""


async def bounced(db: Database, delivery_id: UUID, reason: str) -> bool:
    """Mark it as failed, tell so, and make the next integration due. False: it is none of ours, or has failed already."""
    return bool(await db.fetchval(BOUNCED, delivery_id, reason))
