"""Statements about the accounts of integrations at their providers: paused, checked, resumed."""

from dataclasses import dataclass

from shared_models.database import Database
from shared_models.enums import IntegrationType
from shared_models.integrations import IntegrationHealthView

from integration_dispatcher.store.names import DELIVERIES

PAUSE = """
insert into integration_states (integration, is_ok, reason, code, paused_at) values ($1, false, $2, $3, now())
on conflict (integration) do update
set reason = excluded.reason, code = excluded.code, is_ok = false,
    since = case when integration_states.is_ok is false then integration_states.since else now() end,
    paused_at = coalesce(integration_states.paused_at, now())
returning paused_at = now() as is_new
"""
# One replica per interval.
CLAIM_CHECK = """
insert into integration_states (integration, checked_at) values ($1, now())
on conflict (integration) do update set checked_at = now()
where integration_states.checked_at is null
   or integration_states.checked_at <= now() - $2::float8 * interval '1 second'
returning 1
"""
FAILING = """
update integration_states
set is_ok = false, reason = $2, code = $3, since = case when is_ok is false then since else now() end
where integration = $1
"""
# What waits in a lane comes due now; a row that left its lane has a time of its own.
WORKS = f"""
with before as (
  select is_ok, paused_at from integration_states where integration = $1 for update
), state as (
  update integration_states s
  set is_ok = true, reason = '', code = null, paused_at = null, since = case when b.is_ok then s.since else now() end
  from before b where s.integration = $1 and (b.is_ok is distinct from true or b.paused_at is not null)
), items as (
  update work_items set run_at = now()
  where exists (select from before where paused_at is not null) and queue = '{DELIVERIES}'
    and starts_with(key, $1 || ':') and leased_by is null and dead_at is null and run_at > now()
), lanes as (
  update lanes set run_at = now()
  where exists (select from before where paused_at is not null) and queue = '{DELIVERIES}'
    and starts_with(key, $1 || ':') and leased_by is null and pending > 0 and run_at > now()
)
select paused_at is not null as was_paused from before
"""
STATES = "select integration, is_ok, reason, code, since, paused_at, checked_at from integration_states"


@dataclass(frozen=True)
class Refusal:
    """What the provider said of our account; bounded, without secrets."""

    reason: str
    code: int | None = None
    words: str = ""


async def pause(db: Database, integration: IntegrationType, refusal: Refusal) -> bool:
    """Have this integration's deliveries wait. True when they did not yet."""
    return bool(await db.fetchval(PAUSE, integration.value, refusal.reason, refusal.code))


async def claim_check(db: Database, integration: IntegrationType, every_s: float) -> bool:
    """True for the replica whose turn it is to check."""
    return await db.fetchval(CLAIM_CHECK, integration.value, every_s) is not None


async def failing(db: Database, integration: IntegrationType, refusal: Refusal) -> None:
    await db.execute(FAILING, integration.value, refusal.reason, refusal.code)


async def works(db: Database, integration: IntegrationType) -> bool:
    """The account works: what waited for it is due now. True when something may have."""
    return bool(await db.fetchval(WORKS, integration.value))


async def all_states(db: Database) -> dict[str, IntegrationHealthView]:
    """By integration; none for those never checked."""
    found = {}
    for row in await db.fetch(STATES):
        state = "paused" if row["paused_at"] else {None: "unknown", True: "ok", False: "failing"}[row["is_ok"]]
        found[row["integration"]] = IntegrationHealthView.model_validate(
            {name: row[name] for name in ("integration", "reason", "code", "since", "checked_at")} | {"state": state}
        )
    return found
