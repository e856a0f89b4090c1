"""Values that try to be more than values: in the e-mail address, the serial number, the code, the justification."""

import json
from pathlib import Path

import pytest

from tests.support.servicenow import ServiceNowWorld, servicenow_world

TOOL = "open_laptop_refresh_ticket"
CODE = "apple_mac_book_air_m_2"
NASTY = [
    "x^ORactive=true",
    "x^NQactive=true",
    "^NQsys_idISNOTEMPTY",
    "alice@example.com^ORemail=ben@example.com",
    "x^ORDERBYname",
    "x\n^NQactive=true",
    "javascript:gs.getUserID()",
    "*",
    "%",
    "' OR '1'='1",
    "../../sys_user",
    "?sysparm_query=active=true",
    "x&sysparm_limit=1000",
    "\x00",
    "<script>alert(1)</script>",
    "${7*7} {{7*7}}",
    "\u202eevil",
]


def calls(world: ServiceNowWorld) -> list[dict[str, str]]:
    path = world.standin.folder / "calls.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("email", NASTY)
async def test_an_address_that_is_a_query_finds_nobody(tmp_path: Path, email: str) -> None:
    async with servicenow_world(tmp_path) as world:
        said = await world.fails("find_my_laptops", email=email)
        assert {call["path"] for call in calls(world)} <= {"/api/now/table/sys_user"}
    assert said.startswith("I could not find you in ServiceNow")
    assert "ben" not in said.lower()


@pytest.mark.parametrize("serial", NASTY)
async def test_a_serial_number_that_is_a_query_finds_no_laptop_and_is_not_sent(tmp_path: Path, serial: str) -> None:
    async with servicenow_world(tmp_path) as world:
        said = await world.fails(TOOL, {"laptop_code": CODE, "serial_number": serial}, intent="yes-1")
        assert serial not in json.dumps(calls(world), ensure_ascii=False)
        assert [ticket.number for ticket in world.standin.tickets.tickets] == ["REQ0010001"]
    assert said.startswith("You have no laptop with that serial number.")


@pytest.mark.parametrize("code", NASTY)
async def test_a_code_that_is_no_code_orders_nothing(tmp_path: Path, code: str) -> None:
    async with servicenow_world(tmp_path) as world:
        said = await world.fails(TOOL, {"laptop_code": code}, intent="yes-1")
        assert len(world.standin.tickets.tickets) == 1
    assert said.startswith("That laptop is not offered in your region.")


@pytest.mark.parametrize("text", NASTY)
async def test_a_justification_stays_text(tmp_path: Path, text: str) -> None:
    async with servicenow_world(tmp_path) as world:
        arguments = {"laptop_code": CODE, "business_justification": text}
        made = await world.ask(TOOL, arguments, intent="yes-1")
        ticket = world.standin.tickets.tickets[-1]
        assert ticket.number == made["ticket_number"]
        assert ticket.variables["business_justification"] == text.replace("\x00", " ").strip()
        assert ticket.variables["laptop_choices"] == CODE


@pytest.mark.parametrize("intent", NASTY)
async def test_a_confirmation_id_is_compared_never_queried(tmp_path: Path, intent: str) -> None:
    async with servicenow_world(tmp_path) as world:
        made = await world.ask(TOOL, {"laptop_code": CODE}, intent=intent)
        again = await world.ask(TOOL, {"laptop_code": CODE}, intent=intent)
        assert made == again
        assert len(world.standin.tickets.tickets) == 2
        assert intent not in json.dumps([call["query"] for call in calls(world)], ensure_ascii=False) or intent in "*%"
