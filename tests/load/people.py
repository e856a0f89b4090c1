"""Many people with an API key each, written straight into the database: the bench measures requests, not sign-ups."""

import asyncpg
from request_manager.domain.api_keys import new_api_key, split_api_key
from shared_models.enums import Scope
from shared_models.ids import new_id

from tests.load.cluster import with_connection

BATCH = 3000
PERSONAL = "person"


class People:
    """Hands out keys; nobody is asked for twice. More people are made when they run out."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._keys: list[str] = []

    def take(self, count: int) -> list[str]:
        while len(self._keys) < count:
            self._keys += make_people(self._database_url, BATCH)
        taken, self._keys = self._keys[:count], self._keys[count:]
        return taken


def make_people(database_url: str, count: int) -> list[str]:
    """Store so many people; returns their keys."""
    keys = {
        split.prefix: (key, split) for key in (new_api_key() for _ in range(count)) if (split := split_api_key(key))
    }
    users, api_keys = [], []
    for prefix, (_, split) in keys.items():
        user_id = new_id()
        users.append((user_id, f"{prefix}@example.com", "Bench"))
        api_keys.append((new_id(), prefix, split.digest, user_id, PERSONAL, "bench", list(Scope)))

    async def store(connection: asyncpg.Connection) -> None:
        await connection.copy_records_to_table("users", records=users, columns=("user_id", "email", "name"))
        columns = ("key_id", "prefix", "key_hash", "user_id", "kind", "name", "scopes")
        await connection.copy_records_to_table("api_keys", records=api_keys, columns=columns)

    with_connection(database_url, store)
    return [key for key, _ in keys.values()]
