"""The first people and keys, from the command line."""

import asyncio
import json
import os
import sys
from pathlib import Path

from request_manager.domain.api_keys import new_api_key

from tests.support.request_manager import Replica

COMMAND = [sys.executable, "-m", "request_manager.bootstrap"]


async def bootstrap(database_url: str, *arguments: str) -> tuple[int, str, str]:
    env = os.environ | {
        "DATABASE_URL": database_url,
        "DATABASE_ROLE": "ssa_request_manager",
        "SERVICE_TOKEN_KEY": "k" * 40,
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, env=env, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def who(replica: Replica, key: str) -> dict[str, str]:
    reply = await replica.client.get("/api/v1/users/me", headers={"authorization": f"Bearer {key}"})
    value: dict[str, str] = reply.json()
    return value


async def test_a_person_and_a_key_are_made_and_kept(database_url: str, replica: Replica) -> None:
    _, out, _ = await bootstrap(database_url, "--email", "Ana@example.com", "--name", "Ana", "--role", "operator")
    first = json.loads(out)
    assert set(first) == {"api_key", "user_id"}
    person = await who(replica, first["api_key"])
    assert (person["email"], person["role"], person["user_id"]) == ("ana@example.com", "operator", first["user_id"])
    arguments = ("--email", "ana@example.com", "--name", "Ana", "--role", "user", "--api-key", first["api_key"])
    _, out, _ = await bootstrap(database_url, *arguments)
    assert json.loads(out) == first
    replica.parts.authenticator.forget_all()
    assert (await who(replica, first["api_key"]))["role"] == "user"


async def test_a_key_of_somebody_else_or_of_another_form_is_refused(database_url: str) -> None:
    key = new_api_key()
    assert (await bootstrap(database_url, "--email", "a@example.com", "--api-key", key))[0] == 0
    for refused in (key, "ssa_short"):
        status, out, err = await bootstrap(database_url, "--email", "b@example.com", "--api-key", refused)
        assert (status, out) == (1, "")
        assert "key" in err
        assert refused not in err


async def test_many_people_are_made_at_once(database_url: str, replica: Replica, tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    arguments = ("--email", "load@example.com", "--name", "Load", "--count", "500", "--json-file", str(file))
    status, out, _ = await bootstrap(database_url, *arguments)
    assert (status, out) == (0, "")
    people = json.loads(file.read_text())
    assert len({person["user_id"] for person in people}) == len({person["api_key"] for person in people}) == 500
    assert file.stat().st_mode & 0o077 == 0
    assert (await who(replica, people[499]["api_key"]))["email"] == "load+499@example.com"
