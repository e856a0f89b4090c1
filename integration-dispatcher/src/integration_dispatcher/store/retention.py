"""What the dispatcher removes after its time: deliveries with their tries and content, test messages, what came in, then rows.

A plan's row without content still stops a late `response.ready` from being delivered again, that of an inbound event a
repetition of the provider."""

from shared_models.enums import ServiceName
from shared_models.retention import BATCH, FIRST_ID, OLDER, Removal, deletion, emptying, of_every_service
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

TEST_MESSAGES = deletion(
    "test_messages",
    "delivery_id, part",
    f"delivery_id < {FIRST_ID} and received_at < {OLDER} order by delivery_id, part",
)

SMS_MESSAGES = deletion("sms_messages", "sid", f"created_at < {OLDER} and not is_due order by created_at")

# Who has stopped messages stays on the list until they start them again.
SMS_PHONES = deletion(
    "sms_phones", "phone", f"stopped_at is null and coalesce(answered_at, created_at) < {OLDER} order by phone"
)

# A proof is kept while the address is in use, and for a while after it.
ADDRESSES = deletion(
    "verified_addresses",
    "user_id, integration, address",
    f"""coalesce(verified_at, sends_since) < {OLDER}
    and not exists (select from user_integration_configs c
                    where c.user_id = t.user_id and c.integration = t.integration and c.address = t.address)""",
)

PLANS = deletion("delivery_plans", "request_id", f"purged_at is not null and created_at < {OLDER} order by created_at")

INBOUND_CONTENT = emptying(
    "inbound_events",
    "id",
    f"purged_at is null and received_at < {OLDER} and state <> 'received' order by received_at",
    "payload = '{}', purged_at = now()",
)

# Nobody confirms it any more, and then it is none of our business.
HELD_MAILS = emptying(
    "inbound_events",
    "id",
    f"purged_at is null and received_at < {OLDER} and state = 'held' order by received_at",
    "state = 'ignored', reason = 'unverified: nobody confirmed it', payload = '{}'",
)

INBOUND_EVENTS = deletion(
    "inbound_events", "id", f"purged_at is not null and received_at < {OLDER} order by received_at"
)

SEND_WINDOWS = deletion("send_windows", "name", f"free_at < {OLDER} order by free_at")

MAIL_ANSWERS = deletion("mail_answers", "dedupe_key", f"answered_at < {OLDER} order by answered_at")


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
