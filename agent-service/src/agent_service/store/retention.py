"""What agent-service removes after its time: the content of runs, sessions with what was said in them, then the runs' rows.

A run's row without content still stops a late `request.created` from being answered again."""

from shared_models.enums import ServiceName
from shared_models.retention import BATCH, FIRST_ID, HOUR_IN_DAYS, OLDER, Removal, deletion, of_every_service
from shared_models.settings import ServiceSettings

CONTENT = f"""
with old as (
  select request_id, session_id from agent_runs where purged_at is null and ended_at is not null and ended_at < {OLDER}
  order by ended_at limit {BATCH} for update skip locked
), steps as (
  delete from run_steps s using old where s.request_id = old.request_id
), said as (
  delete from session_messages m using old where m.request_id = old.request_id
), asked as (
  delete from confirmations c using (select distinct session_id from old) o
  where c.session_id = o.session_id and c.created_at < {OLDER}
), emptied as (
  update agent_runs r set request = '{{}}', answer = null, purged_at = now() from old where r.request_id = old.request_id
  returning 1
)
select count(*) from emptied
"""

SESSIONS = f"""
with old as (
  select session_id from request_sessions s
  where session_id < {FIRST_ID} and last_request_at < {OLDER}
    and not exists (
      select from agent_runs r where r.user_id = s.user_id and r.session_id = s.session_id and r.ended_at is null)
  order by session_id limit {BATCH} for update skip locked
), said as (
  delete from session_messages m using old where m.session_id = old.session_id
), asked as (
  delete from confirmations c using old where c.session_id = old.session_id
), gone as (delete from request_sessions s using old where s.session_id = old.session_id returning 1)
select count(*) from gone
"""

RECORDS = deletion("agent_runs", "request_id", f"purged_at is not null and ended_at < {OLDER} order by ended_at")


def removals(settings: ServiceSettings) -> list[Removal]:
    content_days = settings.content_retention_days + HOUR_IN_DAYS
    return [
        Removal("run_content", CONTENT, content_days),
        Removal("sessions", SESSIONS, content_days + 2 * HOUR_IN_DAYS),
        Removal("runs", RECORDS, settings.record_retention_days),
        *of_every_service(ServiceName.AGENT_SERVICE, settings),
    ]
