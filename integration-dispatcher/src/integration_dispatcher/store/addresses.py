"""Statements about addresses that people prove to be theirs."""

from dataclasses import dataclass
from uuid import UUID

from shared_models.database import Database
from shared_models.enums import IntegrationType

CODE_VALID_FOR = "15 minutes"
MAX_TRIES = 5
SENDS_PER_HOUR = 5

# Counted for the person over all their addresses, and for the address over all people: neither can be used to bother others.
NEW_CODE = f"""
with recent as (
  select user_id, sends from verified_addresses
  where integration = $2 and (user_id = $1 or address = $3) and sends_since > now() - interval '1 hour'
), allowed as (
  select 1 from recent having coalesce(sum(sends), 0) < {SENDS_PER_HOUR}
)
insert into verified_addresses (user_id, integration, address, code_hash, code_expires_at, sends)
select $1, $2, $3, $4, now() + interval '{CODE_VALID_FOR}', 1 from allowed
on conflict (user_id, integration, address) do update
set code_hash = excluded.code_hash, code_expires_at = excluded.code_expires_at, tries = 0,
    sends = case when verified_addresses.sends_since > now() - interval '1 hour' then verified_addresses.sends + 1 else 1 end,
    sends_since = case when verified_addresses.sends_since > now() - interval '1 hour'
                  then verified_addresses.sends_since else now() end
returning 1
"""
TRY_CODE = f"""
update verified_addresses a set tries = a.tries + 1
from user_integration_configs u
where u.user_id = $1 and u.integration = $2 and a.user_id = u.user_id and a.integration = u.integration
  and a.address = u.address and a.verified_at is null and a.code_hash is not null and a.code_expires_at > now()
  and a.tries < {MAX_TRIES}
returning a.address, a.code_hash, {MAX_TRIES} - a.tries as left
"""
PROVE = """
insert into verified_addresses (user_id, integration, address, verified_at, proof) values ($1, $2, $3, now(), $4)
on conflict (user_id, integration, address) do update
set verified_at = now(), proof = excluded.proof, code_hash = null, code_expires_at = null
where verified_addresses.verified_at is null
"""
IS_VERIFIED = """
select exists (select from verified_addresses
               where user_id = $1 and integration = $2 and address = $3 and verified_at is not null)
"""


@dataclass(frozen=True)
class Tried:
    """A try at the present code. `left`: tries after this one."""

    address: str
    code_hash: str
    left: int


async def new_code(db: Database, user_id: UUID, integration: IntegrationType, address: str, code_hash: str) -> bool:
    """Replace the code of an address. False: there were too many within the hour."""
    return await db.fetchval(NEW_CODE, user_id, integration.value, address, code_hash) is not None


async def try_code(db: Database, user_id: UUID, integration: IntegrationType) -> Tried | None:
    """Count a try at the code of the person's present address; None when there is no code that may be tried."""
    row = await db.fetchrow(TRY_CODE, user_id, integration.value)
    return Tried(**dict(row)) if row else None


async def prove(db: Database, user_id: UUID, integration: IntegrationType, address: str, proof: str) -> None:
    """`proof`: code, challenge or sign-in."""
    await db.execute(PROVE, user_id, integration.value, address, proof)


async def is_verified(db: Database, user_id: UUID, integration: IntegrationType, address: str) -> bool:
    return bool(await db.fetchval(IS_VERIFIED, user_id, integration.value, address))
