"""The people of a fault run: in request-manager's tables, and with a laptop that is due in the ServiceNow stand-in."""

import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import yaml
from request_manager.domain.api_keys import new_api_key, split_api_key
from shared_models.enums import Scope
from shared_models.ids import new_id

from tests.chaos.lines import Json
from tests.load.cluster import with_connection
from tests.load.people import PERSONAL


@dataclass(frozen=True)
class ChaosPerson:
    """`canary` stands in everything that this person says and must never reach another one."""

    user_id: str
    canary: str
    key: str

    @property
    def email(self) -> str:
        return f"{self.canary}@example.com"

    def as_json(self) -> Json:
        return asdict(self)


def make_people(database_url: str, count: int) -> list[ChaosPerson]:
    people = [ChaosPerson(str(new_id()), secrets.token_hex(8), new_api_key()) for _ in range(count)]
    users = [(UUID(each.user_id), each.email, "Robin") for each in people]
    api_keys = [(new_id(), *_split(each.key), UUID(each.user_id), PERSONAL, "chaos", list(Scope)) for each in people]

    async def store(connection: asyncpg.Connection) -> None:
        await connection.copy_records_to_table("users", records=users, columns=("user_id", "email", "name"))
        columns = ("key_id", "prefix", "key_hash", "user_id", "kind", "name", "scopes")
        await connection.copy_records_to_table("api_keys", records=api_keys, columns=columns)

    with_connection(database_url, store)
    return people


def _split(key: str) -> tuple[str, bytes]:
    split = split_api_key(key)
    assert split is not None
    return split.prefix, split.digest


def write_laptops(folder: Path, people: list[ChaosPerson]) -> None:
    """The stand-in's file of people, each with one laptop that may be replaced."""
    entries = [
        {
            "user_name": each.canary,
            "name": "Robin",
            "email": each.email,
            "location": "London",
            "country": "United Kingdom",
            "laptops": [{"model": "ThinkPad", "serial_number": f"SN{each.canary}", "age": {"cycles": 1, "months": 2}}],
        }
        for each in people
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "people.yaml").write_text(yaml.safe_dump({"people": entries}))
