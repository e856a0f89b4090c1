"""Statements of the integrations' settings: administrators' defaults and people's overrides."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared_models.database import Database
from shared_models.enums import IntegrationType
from shared_models.schemas import Metadata

from integration_dispatcher.domain.selection import Layer

# `u` is the person's row, `a` the administrator's; either may be missing.
STORED_COLUMNS = """
u.user_id is not null as u_is_set, u.enabled as u_enabled, u.priority as u_priority, u.retry_count as u_retry_count,
u.retry_delay_seconds as u_retry_delay_seconds, u.config, u.secrets, u.disabled_reason, u.updated_at as u_updated_at,
(u.integration = 'sms' and exists (
  select from sms_phones s where s.phone = u.config ->> 'phone' and s.stopped_at is not null)) as u_is_stopped,
u.address = '' or exists (
  select from verified_addresses v
  where v.user_id = u.user_id and v.integration = u.integration and v.address = u.address and v.verified_at is not null
) as u_is_verified,
a.integration is not null as a_is_set, a.enabled as a_enabled, a.priority as a_priority,
a.retry_count as a_retry_count, a.retry_delay_seconds as a_retry_delay_seconds, a.updated_at as a_updated_at
"""

FOR_USER = f"""
select coalesce(u.integration, a.integration) as integration, {STORED_COLUMNS}
from (select * from user_integration_configs where user_id = $1) u
full join integration_default_configs a on a.integration = u.integration
"""

# Whoever changes the switch forgets why it was off.
PUT_USER = """
insert into user_integration_configs
  (user_id, integration, enabled, config, secrets, priority, retry_count, retry_delay_seconds, address)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (user_id, integration) do update
set enabled = excluded.enabled, config = excluded.config, secrets = excluded.secrets, priority = excluded.priority,
    retry_count = excluded.retry_count, retry_delay_seconds = excluded.retry_delay_seconds, disabled_reason = '',
    failing_since = null, address = excluded.address, updated_at = now()
"""
SWITCH_OFF = """
insert into user_integration_configs (user_id, integration, enabled, disabled_reason) values ($1, $2, false, $3)
on conflict (user_id, integration) do update set enabled = false, disabled_reason = excluded.disabled_reason, updated_at = now()
"""
OF_EARLIER_KEYS = """
select user_id, integration, secrets from user_integration_configs
where secrets is not null and split_part(secrets, '.', 1) <> $1 and (user_id, integration) > ($2, $3)
order by user_id, integration limit 100
"""
COUNT_OF_EARLIER_KEYS = """
select count(*) from user_integration_configs where secrets is not null and split_part(secrets, '.', 1) <> $1
"""
# A change of the settings meanwhile has sealed them anew itself.
RESEAL = "update user_integration_configs set secrets = $4 where user_id = $1 and integration = $2 and secrets = $3 returning 1"
DELETE_USER = "delete from user_integration_configs where user_id = $1 and integration = $2 returning 1"
RESET_USER = "delete from user_integration_configs where user_id = $1"

PUT_DEFAULTS = """
insert into integration_default_configs (integration, enabled, priority, retry_count, retry_delay_seconds, updated_by)
values ($1, $2, $3, $4, $5, $6)
on conflict (integration) do update
set enabled = excluded.enabled, priority = excluded.priority, retry_count = excluded.retry_count,
    retry_delay_seconds = excluded.retry_delay_seconds, updated_by = excluded.updated_by, updated_at = now()
"""
DELETE_DEFAULTS = "delete from integration_default_configs where integration = $1 returning 1"


@dataclass(frozen=True)
class UserRow:
    """What a person has set. `secrets` is encrypted; `is_verified`: the address in it is proven, or needs no proof.

    `is_stopped`: from the phone itself they have said STOP."""

    layer: Layer
    config: Metadata
    secrets: str | None
    disabled_reason: str
    updated_at: datetime
    is_stopped: bool = False
    is_verified: bool = True


@dataclass(frozen=True)
class Stored:
    """The layers above the environment for one integration."""

    administrator: Layer | None = None
    administrator_at: datetime | None = None
    user: UserRow | None = None


def stored_of(row: Mapping[str, Any]) -> Stored:
    """Read STORED_COLUMNS."""
    user = None
    if row["u_is_set"]:
        user = UserRow(
            _layer(row, "u"),
            row["config"],
            row["secrets"],
            row["disabled_reason"],
            updated_at=row["u_updated_at"],
            is_stopped=row["u_is_stopped"],
            is_verified=row["u_is_verified"],
        )
    return Stored(_layer(row, "a") if row["a_is_set"] else None, row["a_updated_at"], user)


def _layer(row: Mapping[str, Any], prefix: str) -> Layer:
    names = ("enabled", "priority", "retry_count", "retry_delay_seconds")
    return Layer(*(row[f"{prefix}_{name}"] for name in names))


async def for_user(db: Database, user_id: UUID | None) -> dict[str, Stored]:
    """All stored layers by integration; without a user the administrator's alone."""
    return {row["integration"]: stored_of(row) for row in await db.fetch(FOR_USER, user_id)}


@dataclass(frozen=True)
class NewUserRow:
    """`secrets` is encrypted; `address` is what must be proven before use."""

    layer: Layer
    config: Metadata
    secrets: str | None
    address: str


async def put_user(db: Database, user_id: UUID, integration: IntegrationType, new: NewUserRow) -> None:
    layer = new.layer
    numbers = (layer.priority, layer.retry_count, layer.retry_delay_s)
    values = (bool(layer.enabled), new.config, new.secrets, *numbers, new.address)
    await db.execute(PUT_USER, user_id, integration.value, *values)


async def switch_off(db: Database, user_id: UUID, integration: IntegrationType, reason: str) -> None:
    await db.execute(SWITCH_OFF, user_id, integration.value, reason)


async def delete_user(db: Database, user_id: UUID, integration: IntegrationType) -> bool:
    return await db.fetchval(DELETE_USER, user_id, integration.value) is not None


async def reset_user(db: Database, user_id: UUID) -> None:
    await db.execute(RESET_USER, user_id)


async def put_defaults(db: Database, integration: IntegrationType, layer: Layer, by: UUID) -> None:
    numbers = (layer.priority, layer.retry_count, layer.retry_delay_s)
    await db.execute(PUT_DEFAULTS, integration.value, layer.enabled, *numbers, by)


async def delete_defaults(db: Database, integration: IntegrationType) -> bool:
    return await db.fetchval(DELETE_DEFAULTS, integration.value) is not None


@dataclass(frozen=True)
class Sealed:
    """Somebody's secrets as they are stored."""

    user_id: UUID
    integration: str
    secrets: str


async def of_earlier_keys(db: Database, key_id: str, after: Sealed | None) -> list[Sealed]:
    """The next ones that another key than `key_id` has sealed, in a fixed order."""
    place = (after.user_id, after.integration) if after else (UUID(int=0), "")
    return [Sealed(**dict(row)) for row in await db.fetch(OF_EARLIER_KEYS, key_id, *place)]


async def count_of_earlier_keys(db: Database, key_id: str) -> int:
    found = await db.fetchval(COUNT_OF_EARLIER_KEYS, key_id)
    return found if isinstance(found, int) else 0


async def reseal(db: Database, old: Sealed, secrets: str) -> bool:
    """False when the settings were changed or removed meanwhile."""
    return await db.fetchval(RESEAL, old.user_id, old.integration, old.secrets, secrets) is not None
