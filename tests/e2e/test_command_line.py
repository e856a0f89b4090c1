"""The product from the command line, as a person and a script use it."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.system import System

PROGRAM = Path(sys.executable).with_name("ssa")


@dataclass(frozen=True)
class Ran:
    exit_code: int
    shown: str
    said: str

    @property
    def document(self) -> Any:
        return json.loads(self.shown)


async def ssa(system: System, person: str, *arguments: str, stdin: str = "") -> Ran:
    """Run the installed program as this person."""
    token = await system.key_of(person)
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "SSA_URL": system.url, "SSA_TOKEN": token}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *arguments, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
    )
    shown, said = await asyncio.wait_for(process.communicate(stdin.encode()), 300)
    assert process.returncode is not None
    ran = Ran(process.returncode, shown.decode(), said.decode())
    assert token not in ran.shown + ran.said
    assert "Traceback" not in ran.said
    return ran


async def test_a_chat_walks_from_the_first_question_to_one_ticket(system: System) -> None:
    ran = await ssa(system, "alice", "chat", stdin="I need a new laptop\nyes\n1\nyes\n")
    assert ran.exit_code == 0, ran.said
    [ticket] = system.tickets_of("alice")
    assert ticket.number in ran.shown


async def test_a_script_asks_and_goes_on_in_the_same_session(system: System) -> None:
    first = (await ssa(system, "alice", "ask", "I need a new laptop", "--json")).document
    second = await ssa(system, "alice", "ask", "yes", "--session", first["session_id"], "--json")
    assert second.document["session_id"] == first["session_id"]
    messages = await ssa(system, "alice", "sessions", "messages", first["session_id"], "--json")
    assert [each["role"] for each in messages.document["items"]] == ["user", "assistant", "user", "assistant"]
    assert (await ssa(system, "alice", "sessions", "close", first["session_id"], "--yes")).exit_code == 0
    closed = await ssa(system, "alice", "ask", "yes", "--session", first["session_id"])
    assert closed.exit_code == 5


async def test_a_request_is_watched_read_rated_and_asked_again(system: System) -> None:
    accepted = (await ssa(system, "alice", "ask", "hello", "--no-wait", "--json")).document
    request_id = accepted["request_id"]
    watched = await ssa(system, "alice", "requests", "watch", request_id, "--json")
    assert watched.document["status"] == "completed"
    assert (await ssa(system, "alice", "feedback", request_id, "down", "--reason", "slow")).exit_code == 0
    detail = (await ssa(system, "alice", "requests", "get", request_id, "--json")).document
    assert (detail["content"], detail["feedback"]["rating"]) == ("hello", "down")
    again = (await ssa(system, "alice", "requests", "retry", request_id, "--json")).document
    assert again["request_id"] != request_id
    listed = (await ssa(system, "alice", "requests", "list", "--json")).document["items"]
    assert {each["request_id"] for each in listed} == {request_id, again["request_id"]}


async def test_another_persons_request_is_not_there(system: System) -> None:
    mine = (await ssa(system, "alice", "ask", "hello", "--json")).document["request_id"]
    for verb in ("get", "watch", "cancel", "retry"):
        assert (await ssa(system, "ben", "requests", verb, mine)).exit_code == 3


async def test_an_answer_goes_to_the_webhook_and_each_try_is_listed(system: System) -> None:
    system.webhook.failures.append(503)
    config = ("--config", f"url={system.webhook_url}", "--retry-delay-seconds", "1")
    made = await ssa(system, "alice", "integrations", "set", "webhook", *config)
    assert made.exit_code == 0, made.said
    assert "whsec_" in made.shown
    assert (await ssa(system, "alice", "ask", "hello", "--deliver-to", "webhook")).exit_code == 0
    await system.idle()
    [delivery] = (await ssa(system, "alice", "deliveries", "list", "--json")).document["items"]
    assert (delivery["integration"], delivery["status"]) == ("webhook", "delivered")
    tries = (await ssa(system, "alice", "deliveries", "attempts", delivery["delivery_id"], "--json")).document["items"]
    assert [each["outcome"] for each in tries] == ["delayed", "delivered"]
    assert (await ssa(system, "alice", "integrations", "reset", "--yes")).exit_code == 0


async def test_the_doctor_finds_a_good_set_up_good(system: System) -> None:
    ran = await ssa(system, "alice", "doctor", "--json")
    assert ran.document["ok"], ran.shown
    assert ran.exit_code == 0


async def test_a_key_works_until_it_is_revoked(system: System) -> None:
    made = (await ssa(system, "alice", "keys", "create", "ci", "--json")).document
    with_key = ("agents", "--json", "--token", made["api_key"])
    assert len((await ssa(system, "alice", *with_key)).document) == 2
    assert (await ssa(system, "alice", "keys", "revoke", made["key_id"], "-y")).exit_code == 0
    assert (await ssa(system, "alice", *with_key)).exit_code == 4
