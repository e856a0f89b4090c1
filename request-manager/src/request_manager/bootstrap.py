"""The first people and keys: `python -m request_manager.bootstrap --email E --name N --role user [--api-key VALUE]`.

Prints JSON {"api_key", "user_id"}. Safe to repeat: the person is found again, a given key is kept, else a new one is made.
`--count N --json-file F` makes N people at once in one transaction, for load tests."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from shared_models.database import Database
from shared_models.enums import Role
from shared_models.ids import new_id

from request_manager.domain.api_keys import SplitKey, new_api_key, split_api_key
from request_manager.domain.callers import EVERY_SCOPE
from request_manager.settings import RequestManagerSettings

KEY_NAME = "bootstrap"
MAX_COUNT = 1_000_000
MAX_TRIES = 3

ENSURE_PEOPLE = """
insert into users (user_id, email, name, role)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
on conflict (email) do update set role = excluded.role, name = excluded.name
returning user_id, email
"""

ENSURE_KEYS = """
insert into api_keys (key_id, prefix, key_hash, user_id, kind, name, scopes)
select key_id, prefix, key_hash, user_id, 'person', $5, $6::text[]
from unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[]) as new(key_id, prefix, key_hash, user_id)
on conflict (prefix) do update
set key_hash = excluded.key_hash, user_id = excluded.user_id, revoked_at = null, expires_at = null
where api_keys.user_id = excluded.user_id
returning prefix
"""


@dataclass(frozen=True)
class Wanted:
    """`api_key` empty: a new one."""

    email: str
    name: str
    role: Role = Role.USER
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class Made:
    user_id: UUID
    api_key: str = field(repr=False)


async def ensure_person(database_url: str, wanted: Wanted, *, role: str = "") -> Made:
    """Raises ValueError for a malformed key, or one that belongs to somebody else."""
    database = Database(database_url, role=role, pool_size=1)
    await database.open()
    try:
        return (await ensure_people(database, [wanted]))[0]
    finally:
        await database.close()


class KeyTaken(ValueError):
    """A key begins like one that belongs to somebody else."""


async def ensure_people(database: Database, wanted: Sequence[Wanted]) -> list[Made]:
    """All or none, in the order given. Addresses must differ. Raises ValueError."""
    for tries_left in reversed(range(MAX_TRIES)):
        try:
            return await _ensure(database, wanted)
        except KeyTaken:
            if not tries_left or all(person.api_key for person in wanted):
                raise
    raise AssertionError("unreachable")


async def _ensure(database: Database, wanted: Sequence[Wanted]) -> list[Made]:
    keys = _keys(wanted)
    splits = [_split(key) for key in keys]
    emails = [person.email.strip().lower() for person in wanted]
    async with database.transaction() as tx:
        rows = await tx.fetch(
            ENSURE_PEOPLE,
            [new_id() for _ in wanted],
            emails,
            [person.name for person in wanted],
            [person.role.value for person in wanted],
        )
        ids = {row["email"]: row["user_id"] for row in rows}
        kept = await tx.fetch(
            ENSURE_KEYS,
            [new_id() for _ in wanted],
            [split.prefix for split in splits],
            [split.digest for split in splits],
            [ids[email] for email in emails],
            KEY_NAME,
            sorted(scope.value for scope in EVERY_SCOPE),
        )
        if len(kept) != len(keys):
            raise KeyTaken("this key begins like another one: leave it out, and a new one is made")
    return [Made(ids[email], key) for email, key in zip(emails, keys, strict=True)]


def _keys(wanted: Sequence[Wanted]) -> list[str]:
    """The given keys, and new ones that all begin differently."""
    taken = {person.api_key[:12] for person in wanted if person.api_key}
    keys: list[str] = []
    for person in wanted:
        key = person.api_key
        while not key:
            made = new_api_key()
            key = "" if made[:12] in taken else made
        taken.add(key[:12])
        keys.append(key)
    return keys


def _split(key: str) -> SplitKey:
    split = split_api_key(key)
    if split is None:
        raise ValueError("an API key is ssa_<8 hex digits>_<43 letters of base64url>")
    return split


async def _run(options: argparse.Namespace) -> object:
    settings = RequestManagerSettings()
    first = Wanted(options.email, options.name, Role(options.role), options.api_key)
    database = Database.of(settings)
    await database.open()
    try:
        if not options.count:
            made = (await ensure_people(database, [first]))[0]
            return {"api_key": made.api_key, "user_id": str(made.user_id)}
        mailbox, _, domain = first.email.partition("@")
        people = [Wanted(f"{mailbox}+{n}@{domain}", f"{first.name} {n}", first.role) for n in range(options.count)]
        return [
            {"api_key": made.api_key, "user_id": str(made.user_id)} for made in await ensure_people(database, people)
        ]
    finally:
        await database.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m request_manager.bootstrap", description=__doc__)
    parser.add_argument("--email", required=True)
    parser.add_argument("--name", default="")
    parser.add_argument("--role", default=Role.USER.value, choices=[role.value for role in Role])
    parser.add_argument("--api-key", default="", help="keep this key")
    parser.add_argument("--count", type=int, default=0, choices=range(MAX_COUNT + 1), metavar="N")
    parser.add_argument("--json-file", type=Path, help="write there instead of printing")
    options = parser.parse_args()
    try:
        made = json.dumps(asyncio.run(_run(options)))
    except ValueError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    if options.json_file is not None:
        options.json_file.touch(mode=0o600)
        options.json_file.write_text(made + "\n")
    else:
        sys.stdout.write(made + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
