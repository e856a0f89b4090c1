"""What people read when ServiceNow has a bad day, or a model sends garbage."""

from pathlib import Path
from typing import Any

import pytest
from local_stack.servicenow.app import Rights
from local_stack.servicenow.faults import Fault

from tests.support.servicenow import servicenow_world

CODE = "apple_mac_book_air_m_2"


@pytest.mark.parametrize("tool", ["find_my_laptops", "list_my_open_tickets", "list_laptop_options"])
async def test_records_of_others_are_refused_when_servicenow_ignores_the_query(tmp_path: Path, tool: str) -> None:
    async with servicenow_world(tmp_path, rights=Rights(ignores_queries=True)) as world:
        said = await world.fails(tool)
    assert said.startswith("ServiceNow returned data that does not belong to you")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(status=401, times=-1), "ServiceNow does not accept the sign-in of this service"),
        (Fault(status=403, times=-1), "ServiceNow does not let this service do that."),
        (Fault(status=429, times=-1, retry_after_s=60), "ServiceNow is busy right now."),
        (Fault(status=500, times=-1), "ServiceNow cannot be reached right now."),
        (Fault(hibernating=True, times=-1), "The ServiceNow instance is asleep"),
        (Fault(silent=True, times=-1), "ServiceNow did not answer in time."),
    ],
)
async def test_servicenows_bad_days_are_told_in_plain_words(tmp_path: Path, fault: Fault, words: str) -> None:
    async with servicenow_world(tmp_path, servicenow_timeout=0.2 if fault.silent else 30.0) as world:
        world.standin.faults.add(fault)
        assert (await world.fails("find_my_laptops")).startswith(words)


async def test_a_passing_fault_is_not_noticed(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        world.standin.faults.add(Fault(status=503, times=2))
        assert (await world.ask("find_my_laptops"))["laptops"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"user_id": "ben"}, "find_my_laptops does not take user_id."),
        ({"email": "ben@example.com", "name": "Ben"}, "find_my_laptops does not take email, name."),
    ],
)
async def test_a_model_cannot_name_another_person(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    async with servicenow_world(tmp_path) as world:
        assert await world.fails("find_my_laptops", arguments) == words


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"laptop_code": ""},
        {"laptop_code": None},
        {"laptop_code": {"a": 1}},
        {"laptop_code": "x" * 65},
        {"laptop_code": CODE, "business_justification": "x" * 2001},
        {"laptop_code": CODE, "serial_number": ["SN"]},
    ],
)
async def test_garbage_arguments_are_named_without_their_values(tmp_path: Path, arguments: dict[str, Any]) -> None:
    async with servicenow_world(tmp_path) as world:
        said = await world.fails("open_laptop_refresh_ticket", arguments, intent="yes-1")
        assert len(world.standin.tickets.tickets) == 1
    assert said.startswith("These arguments are missing or not valid: ")
    assert "xxxx" not in said
