"""Statements about people, their identities elsewhere, and API keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from shared_models.api import ApiKeyView, UserView
from shared_models.database import Database
from shared_models.enums import CallerKind, Role, Scope
from shared_models.ids import new_id

from request_manager.domain.api_keys import SplitKey
from request_manager.domain.sign_in import Profile

# $5 null: the role is not told here. $7: an address that has an account of this issuer is not handed to another account.
SIGN_IN = """
with known as (
  select user_id from user_identities where issuer = $1 and external_id = $2
),
person as (
  insert into users (user_id, email, name, role)
  select $6, $3, $4, coalesce($5, 'user') where not exists (select from known)
  on conflict (email) do update
  set name = case when excluded.name = '' then users.name else excluded.name end, role = coalesce($5, users.role)
  where not ($7 and exists (select from user_identities i where i.user_id = users.user_id and i.issuer = $1))
  returning user_id, email, name, role
),
linked as (
  insert into user_identities (issuer, external_id, user_id) select $1, $2, user_id from person
  on conflict do nothing
),
renewed as (
  update users u
  set name = case when $4 = '' then u.name else $4 end, role = coalesce($5, u.role),
      email = case when exists (select from users o where o.email = $3 and o.user_id <> u.user_id) then u.email else $3 end
  from known where u.user_id = known.user_id
    and (u.email <> $3 or (u.name <> $4 and $4 <> '') or u.role is distinct from coalesce($5, u.role))
  returning u.user_id, u.email, u.name, u.role
)
select user_id, email, name, role from person
union all select user_id, email, name, role from renewed
union all
select u.user_id, u.email, u.name, u.role from users u join known on u.user_id = known.user_id
where not exists (select from renewed)
"""

IDENTIFIED = """
select u.user_id, u.email, u.name, u.role from users u join user_identities i on i.user_id = u.user_id
where i.issuer = $1 and i.external_id = $2
"""

PERSON = "select user_id, email, name, role from users where user_id = $1"

KEYS_BY_PREFIX = """
select k.prefix, k.key_id, k.key_hash, k.kind, k.scopes, k.acts_for, k.acts_for_everyone, k.expires_at, k.revoked_at,
       u.user_id, u.email, u.name, u.role
from api_keys k join users u on u.user_id = k.user_id
where k.prefix = any($1::text[])
"""

ADD_KEY = """
insert into api_keys (key_id, prefix, key_hash, user_id, kind, name, scopes, acts_for, acts_for_everyone, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + $10::integer * interval '1 day')
returning key_id, user_id, name, kind, prefix, scopes, acts_for, acts_for_everyone, created_at, expires_at, revoked_at
"""

KEYS = """
select key_id, user_id, name, kind, prefix, scopes, acts_for, acts_for_everyone, created_at, expires_at, revoked_at
from api_keys
where (user_id = $1 or ($2 and kind = 'tool')) and ($3::uuid is null or key_id < $3)
order by key_id desc limit $4
"""

REVOKE_KEY = """
update api_keys set revoked_at = coalesce(revoked_at, now())
where key_id = $1 and (user_id = $2 or $3)
returning key_id
"""


@dataclass(frozen=True)
class StoredKey:
    """A key as authentication needs it; `person` is its owner."""

    key_id: UUID
    key_hash: bytes
    kind: CallerKind
    scopes: frozenset[Scope]
    acts_for: frozenset[UUID] | None
    expires_at: datetime | None
    revoked_at: datetime | None
    person: UserView


@dataclass(frozen=True)
class NewKey:
    """A key to be stored. `acts_for` None: everyone."""

    split: SplitKey
    user_id: UUID
    kind: CallerKind
    name: str
    scopes: frozenset[Scope]
    acts_for: list[UUID] | None
    expires_in_days: int | None


async def sign_in(database: Database, profile: Profile, *, is_exclusive: bool = True) -> UserView | None:
    """Find the person of a verified profile, renew what has changed; make them at the first sign-in.

    None: the address belongs to another account of this issuer (`is_exclusive`: one account per person)."""
    role = profile.role.value if profile.role is not None else None
    row = await database.fetchrow(
        SIGN_IN, profile.issuer, profile.subject, profile.email, profile.name, role, new_id(), is_exclusive
    )
    return _person(row) if row is not None else None


async def identified(database: Database, issuer: str, external_id: str) -> UserView | None:
    row = await database.fetchrow(IDENTIFIED, issuer, external_id)
    return _person(row) if row is not None else None


async def person(database: Database, user_id: UUID) -> UserView | None:
    row = await database.fetchrow(PERSON, user_id)
    return _person(row) if row is not None else None


async def find_keys(database: Database, prefixes: Sequence[str]) -> list[StoredKey | None]:
    """The key of each prefix, in their order."""
    found = {row["prefix"]: _stored_key(row) for row in await database.fetch(KEYS_BY_PREFIX, prefixes)}
    return [found.get(prefix) for prefix in prefixes]


def _stored_key(row: asyncpg.Record) -> StoredKey:
    return StoredKey(
        key_id=row["key_id"],
        key_hash=row["key_hash"],
        kind=CallerKind(row["kind"]),
        scopes=frozenset(Scope(scope) for scope in row["scopes"]),
        acts_for=None if row["acts_for_everyone"] else frozenset(row["acts_for"]),
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        person=_person(row),
    )


async def add_key(database: Database, key: NewKey) -> ApiKeyView:
    """Raises asyncpg.UniqueViolationError when another key begins alike."""
    row = await database.fetchrow(
        ADD_KEY,
        new_id(),
        key.split.prefix,
        key.split.digest,
        key.user_id,
        key.kind.value,
        key.name,
        sorted(scope.value for scope in key.scopes),
        key.acts_for or [],
        key.acts_for is None,
        key.expires_in_days,
    )
    assert row is not None
    return _key_view(row)


async def keys(
    database: Database, user_id: UUID, *, with_tools: bool, before: UUID | None, limit: int
) -> list[ApiKeyView]:
    """The person's own keys, for an administrator also every tool's, the newest first."""
    return [_key_view(row) for row in await database.fetch(KEYS, user_id, with_tools, before, limit)]


async def revoke_key(database: Database, key_id: UUID, user_id: UUID, *, any_owner: bool) -> bool:
    """False when there is no such key of this person."""
    return await database.fetchval(REVOKE_KEY, key_id, user_id, any_owner) is not None


def _person(row: asyncpg.Record) -> UserView:
    return UserView(user_id=row["user_id"], email=row["email"], name=row["name"], role=Role(row["role"]))


def _key_view(row: asyncpg.Record) -> ApiKeyView:
    values = dict(row)
    if values.pop("acts_for_everyone"):
        values["acts_for"] = "everyone"
    return ApiKeyView.model_validate(values)
