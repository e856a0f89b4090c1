"""What request-manager removes after its time: the words of requests, then their rows with the feedback, then conversations."""

from shared_models.enums import ServiceName
from shared_models.retention import BATCH, FIRST_ID, HOUR_IN_DAYS, OLDER, Removal, deletion, of_every_service
from shared_models.settings import ServiceSettings

CONTENT = f"""
with old as (
  select request_id from request_logs
  where purged_at is null and ended_at is not null and ended_at < {OLDER}
  order by ended_at limit {BATCH} for update skip locked
), emptied as (
  update request_logs r
  set content = null, response = null, extra = '{{}}', metadata = '{{}}', purged_at = now()
  from old where r.request_id = old.request_id
  returning r.request_id
), reasons as (
  update feedback f set reason = '' from emptied e where f.request_id = e.request_id
)
select count(*) from emptied
"""

RECORDS = deletion("request_logs", "request_id", f"purged_at is not null and ended_at < {OLDER} order by ended_at")

# A conversation that is being written to is locked, and so left alone.
CONVERSATIONS = deletion(
    "conversations",
    "session_id",
    f"""session_id < {FIRST_ID} and last_request_at < {OLDER}
    and not exists (select from request_logs r where r.session_id = t.session_id)
  order by session_id""",
)


def removals(settings: ServiceSettings) -> list[Removal]:
    return [
        Removal("request_content", CONTENT, settings.content_retention_days + 2 * HOUR_IN_DAYS),
        Removal("requests", RECORDS, settings.record_retention_days),
        Removal("conversations", CONVERSATIONS, settings.record_retention_days + HOUR_IN_DAYS),
        *of_every_service(ServiceName.REQUEST_MANAGER, settings),
    ]
