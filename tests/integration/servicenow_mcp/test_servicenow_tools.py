from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types import TextContent
from servicenow_mcp.domain.ages import add_months

from tests.support.servicenow import TODAY, servicenow_world

CODE = "apple_mac_book_air_m_2"


def person(user_name: str = "pat", **laptop: Any) -> dict[str, Any]:
    return {
        "user_name": user_name,
        "name": user_name.title(),
        "email": f"{user_name}@example.com",
        "location": "London",
        "laptops": [{"model": "ThinkPad T14 Gen 3", "serial_number": "SN-1", **laptop}],
    }


async def test_five_tools_are_offered_and_none_takes_a_person(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world, world.mcp_client(world.token("tools/list")) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {
        "find_my_laptops",
        "check_laptop_eligibility",
        "list_laptop_options",
        "open_laptop_refresh_ticket",
        "list_my_open_tickets",
    }
    arguments = {name for tool in tools.values() for name in tool.input_schema["properties"]}
    assert arguments == {"laptop_code", "business_justification", "serial_number"}
    assert all(tool.output_schema for tool in tools.values())


async def test_my_laptop_is_told_with_its_eight_facts(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        found = await world.ask("find_my_laptops")
    assert found["employee"] == {
        "name": "Alice Archer",
        "email": "alice@example.com",
        "location": "London",
        "region": "EMEA",
    }
    assert found["laptops"] == [
        {
            "name": "alice-LT-1001",
            "model": "ThinkPad T14 Gen 3",
            "serial_number": "PF4K7T21",
            "asset_tag": "LT-1001",
            "device_class": "standard",
            "purchase_date": "2023-01-17",
            "age_months": 38,
            "age_text": "3 years and 2 months",
            "warranty_expiry": "2026-01-17",
            "warranty_status": "expired",
        }
    ]


async def test_the_text_of_a_result_is_the_same_json(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        result = await world.call("list_laptop_options")
    [text] = result.content
    assert isinstance(text, TextContent)
    assert '"region": "EMEA"' in text.text
    assert '"cost": "1,299 EUR"' in text.text


@pytest.mark.parametrize(
    ("email", "is_eligible"),
    [
        ("alice", True),
        ("ben", False),
        ("chiara", False),
        ("emi", False),
        ("farid", True),
        ("grace", True),
        ("karen", False),
        ("liam", True),
        ("noah", True),
        ("mei", True),
        ("oscar", True),
    ],
)
async def test_each_case_of_the_demo_people_is_judged_by_the_policy(
    tmp_path: Path, email: str, is_eligible: bool
) -> None:
    async with servicenow_world(tmp_path) as world:
        verdict = await world.ask("check_laptop_eligibility", email=f"{email}@example.com")
    assert verdict["eligible"] is is_eligible


async def test_eligible_tomorrow_means_tomorrow(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        verdict = await world.ask("check_laptop_eligibility", email="chiara@example.com")
    assert verdict["eligible_from"] == (TODAY + timedelta(days=1)).isoformat()


@settings(max_examples=15)
@given(
    model=st.sampled_from(["Latitude 7440", "MacBook Pro 16", "ThinkPad P1 Gen 6"]),
    bought=st.dates(date(2020, 1, 1), TODAY),
)
async def test_eligibility_flips_at_the_policys_month_for_any_laptop_written_into_servicenow(
    tmp_path_factory: pytest.TempPathFactory, model: str, bought: date
) -> None:
    async with servicenow_world(tmp_path_factory.mktemp("state")) as world:
        world.write_people([person(model=model, purchase_date=bought)])
        cycle = 36 if model == "Latitude 7440" else 24
        for day, expected in (
            (add_months(bought, cycle) - timedelta(days=1), False),
            (add_months(bought, cycle), True),
        ):
            world.clock.day = day
            verdict = await world.ask("check_laptop_eligibility", email="pat@example.com")
            assert (verdict["eligible"], verdict["model"]) == (expected, model)
            assert verdict["age_months"] == cycle - (not expected)


@pytest.mark.parametrize(
    ("office", "region", "codes"),
    [
        ("Boston", "NA", {"apple_mac_book_air_m_3", "lenovo_think_pad_p_1_gen_7"}),
        ("Berlin", "EMEA", {"apple_mac_book_pro_16_m_3_max", "lenovo_think_pad_p_16_gen_2"}),
        ("Tokyo", "APAC", {"apple_mac_book_pro_14_m_3", "lenovo_think_pad_p_1_gen_6"}),
        ("Santiago", "LATAM", {"apple_mac_book_pro_14_m_3", "lenovo_think_pad_p_16_s_gen_2"}),
    ],
)
async def test_the_options_are_those_of_the_office(tmp_path: Path, office: str, region: str, codes: set[str]) -> None:
    async with servicenow_world(tmp_path) as world:
        world.write_people([{**person(), "location": office}])
        options = await world.ask("list_laptop_options", email="pat@example.com")
    assert options["region"] == region
    assert [option["number"] for option in options["options"]] == [1, 2, 3, 4]
    assert codes < {option["code"] for option in options["options"]}
    assert all(len(option) == 16 for option in options["options"])


@pytest.mark.parametrize(
    ("tool", "email", "words"),
    [
        ("find_my_laptops", "zoe@example.com", "I could not find you in ServiceNow"),
        ("find_my_laptops", "jonas@example.com", "Your account in ServiceNow is not active."),
        ("find_my_laptops", "ines@example.com", "ServiceNow has no laptop assigned to you."),
        ("check_laptop_eligibility", "ines@example.com", "ServiceNow has no laptop assigned to you."),
        ("check_laptop_eligibility", "daniel@example.com", "You have several laptops."),
    ],
)
async def test_people_without_a_clear_answer_read_plain_words(
    tmp_path: Path, tool: str, email: str, words: str
) -> None:
    async with servicenow_world(tmp_path) as world:
        said = await world.fails(tool, email=email)
    assert said.startswith(words)
    assert "alice" not in said.lower()


async def test_one_of_several_laptops_is_named_by_its_serial_number(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        said = await world.fails("check_laptop_eligibility", email="daniel@example.com")
        assert "PF4D2A88" in said
        assert "PF5D9P16" in said
        for serial, expected in (("PF4D2A88", True), ("pf5d9p16 ", False)):
            arguments = {"serial_number": serial}
            verdict = await world.ask("check_laptop_eligibility", arguments, email="daniel@example.com")
            assert verdict["eligible"] is expected


async def test_a_serial_number_of_somebody_else_reads_like_one_that_does_not_exist(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        foreign = await world.fails("check_laptop_eligibility", {"serial_number": "C02BB14NA7"})
        missing = await world.fails("check_laptop_eligibility", {"serial_number": "NO-SUCH-THING"})
    assert foreign == missing
    assert "C02BB14NA7" not in foreign


async def test_a_laptop_without_a_purchase_date_is_shown_but_not_judged(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        world.write_people([person()])
        found = await world.ask("find_my_laptops", email="pat@example.com")
        said = await world.fails("check_laptop_eligibility", email="pat@example.com")
    assert found["laptops"][0]["age_months"] is None
    assert found["laptops"][0]["warranty_status"] == "unknown"
    assert "no purchase date" in said


async def test_an_office_of_no_region_gets_no_options(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        world.write_people([{**person(), "location": "Atlantis"}])
        said = await world.fails("list_laptop_options", email="pat@example.com")
    assert 'your office "Atlantis"' in said


async def test_a_retired_laptop_is_not_shown(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        world.write_people([person(install_status="7")])
        assert "no laptop" in await world.fails("find_my_laptops", email="pat@example.com")


async def test_open_tickets_show_what_was_ordered(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        [pending] = (await world.ask("list_my_open_tickets", email="hugo@example.com"))["tickets"]
        assert (await world.ask("list_my_open_tickets"))["tickets"] == []
    assert pending == {
        "ticket_number": "REQ0010001",
        "short_description": "Laptop refresh",
        "state": "Open",
        "stage": "Waiting for Approval",
        "opened_at": "2026-03-14T09:30:00Z",
        "laptop_code": CODE,
    }


async def test_more_tickets_than_a_page_are_all_listed(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        alice = next(each for each in world.standin.directory.people() if each.user_name == "alice")
        for number in range(120):
            variables = {"laptop_serial_number": f"OLD-{number}", "correlation_id": f"old-{number}"}
            item = {"sys_id": world.standin.catalogue.item.sys_id, "name": "Laptop refresh"}
            world.standin.tickets.open(item, alice.sys_id, variables, world.clock.now())
        tickets = (await world.ask("list_my_open_tickets"))["tickets"]
    assert len({ticket["ticket_number"] for ticket in tickets}) == 120


@pytest.mark.parametrize("auth", ["basic", "oauth"])
async def test_basic_and_oauth_sign_in_work_as_well(tmp_path: Path, auth: str) -> None:
    credentials: dict[str, Any] = {
        "servicenow_auth_type": auth,
        "servicenow_username": "integration",
        "servicenow_password": "a-password",
        "servicenow_client_id": "a-client",
        "servicenow_client_secret": "a-client-secret",
    }
    async with servicenow_world(tmp_path, **credentials) as world:
        assert (await world.ask("find_my_laptops"))["laptops"]
        world.standin.doorman.revoke_all()
        assert (await world.ask("find_my_laptops"))["laptops"]
