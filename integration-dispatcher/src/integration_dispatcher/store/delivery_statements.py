"""The SQL of one delivery. $1 delivery, $2 part, $3 attempt, $4 code, $5 words, $6 work item, $7 its claim, $8 its worker."""

from shared_models.work_statements import complete, enqueue

from integration_dispatcher.store.configs import STORED_COLUMNS
from integration_dispatcher.store.names import DELIVERIES, OPEN, report_items

INTERRUPTED = "This try did not finish here; the message may have arrived."
DISABLE_AFTER = "5 days"

# The intent: the attempt's row is committed before anything is sent.
TAKE_UP = f"""
with picked as (
  select d.*, p.policy, p.delivered_at from delivery_logs d join delivery_plans p on p.request_id = d.request_id
  where d.id = $1 and d.status in {OPEN} order by d.part limit 1
), judged as (
  select *, case
    when kind <> 'note' and policy = 'first_success' and delivered_at is not null and replayed_at is null then 'superseded'
    when expires_at <= now() then 'expired'
    when exists (select from integration_states s where s.integration = picked.integration and s.paused_at is not null)
      then 'paused'
    when next_attempt_at > now() then 'early'
    else 'send' end as verdict
  from picked
), interrupted as (
  update delivery_attempts a set ended_at = now(), outcome = 'interrupted', detail = '{INTERRUPTED}'
  from judged j where a.delivery_id = j.id and a.part = j.part and a.ended_at is null
), attempt as (
  insert into delivery_attempts (delivery_id, part, number)
  select j.id, j.part, (
    select coalesce(max(a.number), 0) + 1 from delivery_attempts a where a.delivery_id = j.id and a.part = j.part)
  from judged j where j.verdict = 'send'
  on conflict do nothing
  returning number
)
select j.id, j.part, j.request_id, j.user_id, j.integration, j.kind, j.target, j.body, j.failures, j.verdict,
       coalesce((select number from attempt), 0) as number,
       extract(epoch from j.expires_at - now())::float8 as left_s,
       coalesce(extract(epoch from j.next_attempt_at - now()), 0)::float8 as early_s,
       {STORED_COLUMNS}
from judged j
left join user_integration_configs u on u.user_id = j.user_id and u.integration = j.integration
left join integration_default_configs a on a.integration = j.integration
"""

ATTEMPT_ENDED = """
attempt as (
  update delivery_attempts set ended_at = now(), outcome = {outcome}, code = $4::int, detail = $5
  where delivery_id = $1 and part = $2 and number = $3
)"""

FIRST_OPEN = f"""
select id as delivery_id, part, request_id, user_id, integration, kind, target, body, failures from delivery_logs
where id = $1 and status in {OPEN} order by part limit 1
"""

# The plan's row is locked first, so that of two integrations that end at once the second sees the first.
LOCKED_PLAN = """
plan as materialized (
  select p.* from delivery_plans p join delivery_logs d on d.request_id = p.request_id
  where d.id = $1 and d.part = $2 for no key update of p
)"""

# Notes are no deliveries of the request: request-manager does not hear of them.
ANSWERS = "(select * from ended where kind <> 'note') a"

EVENT_OUT = """
select exists(select from ended) as is_ended, coalesce((select pending from done_lane), 0) as lane_pending,
       e.id as event_id, e.claim as event_claim, s.ref, s.payload
from (select) as one
left join item e on e.leased_by is not null
left join source s on s.worker is not null
"""

DELIVERED = f"""
with {LOCKED_PLAN}, row as (
  update delivery_logs d
  set status = 'delivered', reason = '', provider_id = $9, ended_at = now(), next_attempt_at = null,
      is_late = d.kind <> 'note' and p.policy = 'first_success' and (p.delivered_at is not null or p.position > d.rank)
  from plan p where d.id = $1 and d.part = $2 and d.status <> 'delivered'
  returning d.*, p.policy
), {ATTEMPT_ENDED.format(outcome="'delivered'")}, ended as (
  select * from row where part = parts
), marked as (
  update delivery_plans p set delivered_at = coalesce(p.delivered_at, now()), fallback_at = null
  from ended e where p.request_id = e.request_id and e.kind <> 'note'
), twins as (
  update delivery_logs t
  set status = 'cancelled', reason = 'Another integration delivered it.', ended_at = now(), next_attempt_at = null
  from ended e
  where e.kind <> 'note' and e.policy = 'first_success' and t.request_id = e.request_id and t.id <> e.id
    and t.kind <> 'note' and t.status in {OPEN}
  returning t.*
), healthy as (
  update user_integration_configs c set failing_since = null
  from row r where c.user_id = r.user_id and c.integration = r.integration and c.failing_since is not null
), source as (
  {report_items(ANSWERS, worker="$10::text", trace="$11::text")}
  union all
  {report_items("(select distinct on (id) * from twins) t", worker="null::text", trace="$11::text")}
), {enqueue("item", "source")},
{complete("done", item="(select $6::bigint from ended)", claim="$7::int", worker="$8::text")}
{EVENT_OUT}
"""

HAS_NEXT = """(
    p.policy = 'first_success' and p.position = e.rank and p.position + 1 < cardinality(p.chain) and p.delivered_at is null
  )"""
IS_UNDER_WAY = f"""exists (
    select from delivery_logs o
    where o.request_id = p.request_id and o.kind <> 'note' and o.status in {OPEN}
      and o.id not in (select id from ended)
  )"""

ENDED_IN_VAIN = f"""
with {LOCKED_PLAN}, ended as (
  update delivery_logs d
  set status = $9, reason = $12, failures = d.failures + $13::int, ended_at = now(), next_attempt_at = null
  where d.id = $1 and d.part = $2 and d.status in {OPEN} and exists (select from plan)
  returning d.*
), {ATTEMPT_ENDED.format(outcome="$14")}, rest as (
  update delivery_logs r
  set status = 'cancelled', reason = 'An earlier part was not delivered.', ended_at = now(), next_attempt_at = null
  from ended e where r.id = e.id and r.part > e.part and r.status in {OPEN}
), onward as (
  update delivery_plans p
  set fallback_at = case when {HAS_NEXT} then now() else p.fallback_at end,
      note = case
        when c.enabled and ($15::bool or c.failing_since < now() - interval '{DISABLE_AFTER}') and $13::int > 0
          then 'disabled'
        when {HAS_NEXT} or p.delivered_at is not null or p.fallback_at is not null or {IS_UNDER_WAY} then p.note
        else 'failed' end
  from ended e
  left join user_integration_configs c on c.user_id = e.user_id and c.integration = e.integration
  where p.request_id = e.request_id and e.kind <> 'note'
  returning {HAS_NEXT} as falls_back
), failing as (
  update user_integration_configs c
  set failing_since = coalesce(c.failing_since, now()),
      enabled = c.enabled and not ($15::bool or coalesce(c.failing_since < now() - interval '{DISABLE_AFTER}', false)),
      disabled_reason = case
        when $15::bool then $12
        when c.failing_since < now() - interval '{DISABLE_AFTER}' then 'It has failed for {DISABLE_AFTER}. ' || $12
        else c.disabled_reason end
  from ended e where c.user_id = e.user_id and c.integration = e.integration and $13::int > 0
), source as (
  {report_items(ANSWERS, worker="$10::text", trace="$11::text")}
), {enqueue("item", "source")},
{complete("done", item="$6::bigint", claim="$7::int", worker="$8::text")}
{EVENT_OUT.replace("exists(select from ended)", "exists(select from onward where falls_back)")}
"""

# Our account was refused: that counts for nothing, and the row waits.
REFUSED = f"""
with attempt as (
  update delivery_attempts set ended_at = now(), outcome = 'paused', code = $4, detail = $5
  where delivery_id = $1 and part = $2 and number = $3
)
update delivery_logs set status = 'retrying', reason = $6 where id = $1 and part = $2 and status in {OPEN}
"""

# The next integration of those who have one starts at once: nobody knows when this account comes back.
HURRY = """
update delivery_plans p set fallback_at = now()
from delivery_logs d
where d.id = $1 and d.part = 1 and p.request_id = d.request_id and p.policy = 'first_success' and p.position = d.rank
  and p.position + 1 < cardinality(p.chain) and p.delivered_at is null and p.fallback_at > now()
"""

# A long wait leaves the lane: what comes after it to the same target does not wait for hours.
TRY_AGAIN = f"""
with row as (
  update delivery_logs
  set status = 'retrying', failures = failures + 1, reason = $9, next_attempt_at = now() + $10::float8 * interval '1 second'
  where id = $1 and part = $2 and status in {OPEN}
  returning id, request_id, user_id, integration
), {ATTEMPT_ENDED.format(outcome="'delayed'")}, failing as (
  update user_integration_configs c set failing_since = now()
  from row r where c.user_id = r.user_id and c.integration = r.integration and c.failing_since is null
), {complete("done", item="$6::bigint", claim="$7::int", worker="$8::text")},
again as (
  insert into work_items (queue, ref, payload, run_at)
  select '{DELIVERIES}', r.request_id::text, jsonb_build_object('delivery_id', r.id, 'trace', $11::text),
         now() + $10::float8 * interval '1 second'
  from row r cross join done
)
select exists(select from row) as is_open, exists(select from done) as has_left_lane,
       coalesce((select pending from done_lane), 0) as lane_pending
"""

# A minute of grace: the worker that has the row ends it itself.
EXPIRE = f"""
with due as (
  select id, part from delivery_logs where status in {OPEN} and expires_at < now() - interval '1 minute'
  order by id, part limit 200 for update skip locked
), ended as (
  update delivery_logs d set status = 'expired', reason = 'It could not be delivered in time.', ended_at = now(),
         next_attempt_at = null
  from due where d.id = due.id and d.part = due.part
  returning d.*
), onward as (
  update delivery_plans p
  set fallback_at = case when {HAS_NEXT} then now() else p.fallback_at end,
      note = case
        when {HAS_NEXT} or p.delivered_at is not null or p.fallback_at is not null or {IS_UNDER_WAY} then p.note
        else 'failed' end
  from (select distinct on (request_id) * from ended where kind <> 'note' order by request_id, rank desc) e
  where p.request_id = e.request_id
), source as (
  {report_items("(select distinct on (id) * from ended where kind <> 'note') e", worker="null::text", trace="''")}
), {enqueue("item", "source")}
select count(*) from item
"""

# A row may die with its process, which then ends nothing.
DEAD_WITH_OPEN = f"""
select distinct on (d.request_id, d.id) d.request_id, w.id, w.ref, w.payload, coalesce(w.last_error, '') as reason
from work_items w join delivery_logs d on d.id = (w.payload ->> 'delivery_id')::uuid
where w.queue = '{DELIVERIES}' and w.dead_at is not null and d.status in {OPEN} and d.request_id > $1
order by d.request_id, d.id limit 50
"""

# Nothing was sent, so there was no try.
UNTRIED = f"""
with gone as (delete from delivery_attempts where delivery_id = $1 and part = $2 and number = $3)
update delivery_logs set next_attempt_at = now() + $4::float8 * interval '1 second'
where id = $1 and part = $2 and status in {OPEN}
"""
