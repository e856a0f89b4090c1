"""What the dispatcher removes after its time: deliveries with their tries and content, test messages, what came in, then rows.

A plan's row without content still stops a late `response.ready` from being delivered again, that of an inbound event a
repetition of the provider."""

from shared_models.enums import ServiceName
from shared_models.retention import BATCH, FIRST_ID, OLDER, Removal, of_every_service
from shared_models.settings import ServiceSettings

from integration_dispatcher.store.held_mails import VALID_FOR_HOURS
from integration_dispatcher.store.names import OPEN

HELD_DAYS = VALID_FOR_HOURS // 24

DELIVERIES = f"""
with old as (
  select request_id from delivery_plans p
  where purged_at is null and created_at < {OLDER}
    and not exists (select from delivery_logs d where d.request_id = p.request_id and d.status in {OPEN})
  order by created_at limit {BATCH} for update skip locked
), logs as (
  delete from delivery_logs d using old where d.request_id = old.request_id
), emptied as (
  update delivery_plans p set message = '', fallback_at = null, note = null, purged_at = now()
  from old where p.request_id = old.request_id
  returning 1
)
select count(*) from emptied
"""

TEST_MESSAGES = f"""
with old as (
  select delivery_id, part from test_messages where delivery_id < {FIRST_ID} and received_at < {OLDER}
  order by delivery_id, part limit {BATCH} for update skip locked
), gone as (
  delete from test_messages t using old where t.delivery_id = old.delivery_id and t.part = old.part returning 1
)
select count(*) from gone
"""

SMS_MESSAGES = f"""
with old as (
  select sid from sms_messages where created_at < {OLDER} and not is_due
  order by created_at limit {BATCH} for update skip locked
), gone as (delete from sms_messages m using old where m.sid = old.sid returning 1)
select count(*) from gone
"""

# Who has stopped messages stays on the list until they start them again.
SMS_PHONES = f"""
with old as (
  select phone from sms_phones where stopped_at is null and coalesce(answered_at, created_at) < {OLDER}
  order by phone limit {BATCH} for update skip locked
), gone as (delete from sms_phones p using old where p.phone = old.phone returning 1)
select count(*) from gone
"""

# A proof is kept while the address is in use, and for a while after it.
ADDRESSES = f"""
with old as (
  select user_id, integration, address from verified_addresses a
  where coalesce(verified_at, sends_since) < {OLDER}
    and not exists (select from user_integration_configs c
                    where c.user_id = a.user_id and c.integration = a.integration and c.address = a.address)
  limit {BATCH} for update skip locked
), gone as (
  delete from verified_addresses a using old
  where a.user_id = old.user_id and a.integration = old.integration and a.address = old.address
  returning 1
)
select count(*) from gone
"""

PLANS = f"""
with old as (
  select request_id from delivery_plans where purged_at is not null and created_at < {OLDER}
  order by created_at limit {BATCH} for update skip locked
), gone as (delete from delivery_plans p using old where p.request_id = old.request_id returning 1)
select count(*) from gone
"""

INBOUND_CONTENT = f"""
with old as (
  select id from inbound_events where purged_at is null and received_at < {OLDER} and state <> 'received'
  order by received_at limit {BATCH} for update skip locked
), emptied as (
  update inbound_events e set payload = '{{}}', purged_at = now() from old where e.id = old.id returning 1
)
select count(*) from emptied
"""

# Nobody confirms it any more, and then it is none of our business.
HELD_MAILS = f"""
with old as (
  select id from inbound_events where purged_at is null and received_at < {OLDER} and state = 'held'
  order by received_at limit {BATCH} for update skip locked
), dropped as (
  update inbound_events e set state = 'ignored', reason = 'unverified: nobody confirmed it', payload = '{{}}'
  from old where e.id = old.id
  returning 1
)
select count(*) from dropped
"""

INBOUND_EVENTS = f"""
with old as (
  select id from inbound_events where purged_at is not null and received_at < {OLDER}
  order by received_at limit {BATCH} for update skip locked
), gone as (delete from inbound_events e using old where e.id = old.id returning 1)
select count(*) from gone
"""

SEND_WINDOWS = f"""
with old as (
  select name from send_windows where free_at < {OLDER} order by free_at limit {BATCH} for update skip locked
), gone as (delete from send_windows w using old where w.name = old.name returning 1)
select count(*) from gone
"""

MAIL_ANSWERS = f"""
with old as (
  select dedupe_key from mail_answers where answered_at < {OLDER} order by answered_at limit {BATCH} for update skip locked
), gone as (delete from mail_answers m using old where m.dedupe_key = old.dedupe_key returning 1)
select count(*) from gone
"""


def removals(settings: ServiceSettings) -> list[Removal]:
    return [
        Removal("deliveries", DELIVERIES, settings.content_retention_days),
        Removal("test_messages", TEST_MESSAGES, settings.content_retention_days),
        Removal("held_mails", HELD_MAILS, HELD_DAYS),
        Removal("inbound_content", INBOUND_CONTENT, settings.content_retention_days),
        Removal("send_windows", SEND_WINDOWS, settings.content_retention_days),
        Removal("mail_answers", MAIL_ANSWERS, settings.content_retention_days),
        Removal("sms_messages", SMS_MESSAGES, settings.content_retention_days),
        Removal("sms_phones", SMS_PHONES, settings.content_retention_days),
        Removal("verified_addresses", ADDRESSES, settings.content_retention_days),
        Removal("delivery_plans", PLANS, settings.record_retention_days),
        Removal("inbound_events", INBOUND_EVENTS, settings.record_retention_days),
        *of_every_service(ServiceName.INTEGRATION_DISPATCHER, settings),
    ]
