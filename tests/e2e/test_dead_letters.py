"""An operator finds what was given up, sees why, and has it done again, by the API and from the command line."""

import pytest
from shared_models.enums import Role

from tests.e2e.test_command_line import ssa
from tests.support.database import superuser
from tests.support.people import api_key_of
from tests.support.system import System
from tests.support.waiting import eventually

LETTERS = "/api/v1/dead-letters"


@pytest.fixture
async def operator(system: System) -> str:
    system._keys["olivia"] = await api_key_of(system.database_url, "olivia", Role.OPERATOR)
    return "olivia"


async def test_a_failed_delivery_is_found_and_replayed_from_the_command_line(system: System, operator: str) -> None:
    hook = {"enabled": True, "config": {"url": system.webhook_url}, "retry_count": 0}
    await system.request("PUT", "alice", "/api/v1/users/me/integrations/webhook", json=hook)
    system.webhook.failures.append(503)
    asked = await system.ask("alice", "hello", integration_type="webhook")

    async def is_listed() -> bool:
        page = (await system.get(operator, f"{LETTERS}?kind=delivery")).json()
        return len(page["items"]) == 1

    await eventually(is_listed)
    listed = await ssa(system, operator, "dead-letters", "list", "--service", "integration-dispatcher", "--json")
    [letter] = listed.document["items"]
    assert (letter["kind"], letter["request_id"], listed.document["unreachable"]) == (
        "delivery",
        str(asked.request_id),
        [],
    )
    shown = await ssa(system, operator, "dead-letters", "show", letter["id"])
    assert letter["cause"] in shown.shown
    assert asked.content not in listed.shown + shown.shown
    assert (await ssa(system, operator, "dead-letters", "replay", letter["id"])).exit_code == 0
    await system.idle()
    [received] = system.webhook.accepted
    assert asked.content in received.raw.decode()
    assert (await ssa(system, operator, "dead-letters", "list", "--json")).document["items"] == []


async def test_dead_letters_of_all_services_stand_in_one_list_and_go_by_filter(system: System, operator: str) -> None:
    async with superuser(system.database_url) as connection:
        for queue in ("request-manager.responses", "agent-service.events", "integration-dispatcher.events"):
            await connection.execute(
                "insert into work_items (queue, ref, payload, dead_at, last_error) values ($1, '', '{}', now(), $2)",
                queue,
                f"sink of {queue} is away",
            )
    page = (await system.get(operator, LETTERS)).json()
    assert {item["service"] for item in page["items"]} == {"request-manager", "agent-service", "integration-dispatcher"}
    discarded = [item["id"] for item in page["items"] if item["service"] != "request-manager"]
    assert (await ssa(system, operator, "dead-letters", "discard", *discarded, "--yes")).exit_code == 0
    [left] = (await system.get(operator, f"{LETTERS}?cause=AWAY")).json()["items"]
    gone = await ssa(system, operator, "dead-letters", "show", discarded[0])
    assert gone.exit_code == 3
    assert left["service"] == "request-manager"


async def test_a_person_has_no_business_with_dead_letters(system: System) -> None:
    for arguments in (["list"], ["show", "agent-service:1"], ["replay", "agent-service:1"], ["replay", "--all", "-y"]):
        assert (await ssa(system, "alice", "dead-letters", *arguments)).exit_code == 4
