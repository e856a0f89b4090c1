import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_stack.servicenow.app import Standin, create_app
from local_stack.servicenow.catalogue import shipped_catalogue
from local_stack.servicenow.demo import demo_person
from local_stack.servicenow.people import Age, Directory, Laptop, read_people, shipped_people
from local_stack.servicenow.settings import StandinSettings
from local_stack.servicenow.tickets import TicketBook
from pydantic import SecretStr, ValidationError
from servicenow_mcp.rules import shipped_rules

NOW = datetime(2026, 3, 17, 9, 30, tzinfo=UTC)
KEY = {"x-sn-apikey": "the-key"}
ITEM = shipped_catalogue().item.sys_id
CASES = {
    "eligible",
    "not eligible",
    "eligible tomorrow",
    "several devices",
    "hardware fault early",
    "contractor",
    "on leave",
    "pending ticket",
    "no laptop",
    "inactive",
    "manager",
    "IT manager",
}


def standin(folder: Path) -> Standin:
    settings = StandinSettings(
        api_key=SecretStr("the-key"),
        username="user",
        password=SecretStr("word"),
        client_id="client",
        client_secret=SecretStr("secret"),
    )
    return Standin(folder, settings, lambda: NOW)


def caller(made: Standin) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=create_app(made)), base_url="http://sn.test", headers=KEY
    )


async def read(made: Standin, table: str, **params: str) -> httpx.Response:
    async with caller(made) as http:
        return await http.get(f"/api/now/table/{table}", params={f"sysparm_{k}": v for k, v in params.items()})


def test_every_case_by_name_has_a_person_and_the_unknown_one_has_none() -> None:
    people = shipped_people()
    assert {person.case for person in people} >= CASES
    assert "zoe@example.com" not in {person.email for person in people}
    assert len({laptop.serial_number for person in people for laptop in person.laptops}) == sum(
        len(person.laptops) for person in people
    )


def test_every_region_has_people_and_every_office_is_in_a_region() -> None:
    offices = shipped_rules().offices
    regions = {offices.region_of(person.location, person.country) for person in shipped_people()}
    assert regions == {"NA", "EMEA", "APAC", "LATAM"}


def test_device_classes_of_the_people_are_those_of_the_policy() -> None:
    policy = shipped_rules().policy
    for person in shipped_people():
        for laptop in person.laptops:
            assert laptop.device_class == policy.class_of(laptop.model), laptop.model


def test_the_demo_person_is_alice_of_emea() -> None:
    assert (demo_person().email, demo_person().location, demo_person().case) == (
        "alice@example.com",
        "London",
        "eligible",
    )


@pytest.mark.parametrize(
    ("age", "today", "bought"),
    [
        (Age(cycles=1), date(2026, 3, 31), date(2023, 3, 31)),
        (Age(cycles=1, days=-1), date(2026, 3, 30), date(2023, 3, 31)),
        (Age(cycles=1, months=2), date(2026, 3, 17), date(2023, 1, 17)),
        (Age(months=1), date(2026, 3, 31), date(2026, 2, 28)),
        (Age(days=10), date(2026, 3, 17), date(2026, 3, 7)),
    ],
)
def test_relative_purchase_dates_follow_today(age: Age, today: date, bought: date) -> None:
    assert Laptop(model="m", serial_number="s", age=age).bought_on(today) == bought


def test_the_people_file_is_made_once_and_read_again_when_it_changes(tmp_path: Path) -> None:
    directory = Directory(tmp_path, NOW.date)
    assert directory.people() == shipped_people()
    one = {"people": [{"user_name": "pat", "name": "Pat", "email": "pat@example.com"}]}
    directory.path.write_text(json.dumps(one))
    assert [person.name for person in directory.people()] == ["Pat"]
    assert [person.name for person in Directory(tmp_path, NOW.date).people()] == ["Pat"]


def test_a_people_file_with_a_typing_error_is_refused() -> None:
    with pytest.raises(ValidationError, match="emial"):
        read_people("people: [{user_name: pat, name: Pat, emial: pat@example.com}]")
    with pytest.raises(ValidationError, match="twice"):
        read_people("people: [{user_name: a, name: A, email: a@x}, {user_name: a, name: B, email: b@x}]")


def test_tickets_are_on_disk_when_the_answer_leaves_and_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    item = {"sys_id": ITEM, "name": "Laptop refresh"}
    first = TicketBook(tmp_path).open(item, "u", {}, NOW)
    second = TicketBook(tmp_path).open(item, "u", {}, NOW)
    assert (first.number, second.number) == ("REQ0010001", "REQ0010002")
    assert [ticket.number for ticket in TicketBook(tmp_path).tickets] == ["REQ0010001", "REQ0010002"]
    assert [path.name for path in tmp_path.iterdir()] == ["tickets.json"]


def test_the_pending_ticket_is_seeded_once(tmp_path: Path) -> None:
    assert len(standin(tmp_path).tickets.tickets) == 1
    again = standin(tmp_path)
    assert [ticket.variables["correlation_id"] for ticket in again.tickets.tickets] == ["seeded-hugo"]


async def test_a_table_answers_in_servicenows_envelope(tmp_path: Path) -> None:
    reply = await read(
        standin(tmp_path), "sys_user", query="user_name=alice", fields="name,active,manager,no_such_field"
    )
    assert reply.headers["x-total-count"] == "1"
    [row] = reply.json()["result"]
    assert (row["name"], row["active"]) == ("Alice Archer", "true")
    assert row["manager"]["link"].startswith("http://sn.test/api/now/table/sys_user/")
    assert "no_such_field" not in row


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("false", "70100c439691b2426289d0ea629e843b"),
        ("true", "Alice Archer"),
        ("all", {"display_value": "Alice Archer", "value": "70100c439691b2426289d0ea629e843b"}),
    ],
)
async def test_references_show_values_names_or_both(tmp_path: Path, style: str, expected: object) -> None:
    params = {"query": "serial_number=PF4K7T21", "display_value": style, "exclude_reference_link": "true"}
    reply = await read(standin(tmp_path), "cmdb_ci_computer", fields="assigned_to", **params)
    assert reply.json()["result"] == [{"assigned_to": expected}]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("user_nameINalice,ben^ORDERBYname", ["Alice Archer", "Ben Brooks"]),
        ("user_nameINalice,ben^ORDERBYDESCname", ["Ben Brooks", "Alice Archer"]),
        ("nameLIKEarch", ["Alice Archer"]),
        ("active!=true", ["Jonas Jansen"]),
        ("user_name=alice^ORuser_name=ben^ORDERBYname", ["Alice Archer", "Ben Brooks"]),
        ("user_name=alice^active=false", []),
        ("user_name=alice^NQuser_name=ben^ORDERBYname", ["Alice Archer", "Ben Brooks"]),
        ("email=ALICE@example.com", ["Alice Archer"]),
        ("user_name=alice^^", []),
    ],
)
async def test_queries_select_as_servicenow_does(tmp_path: Path, query: str, names: list[str]) -> None:
    reply = await read(standin(tmp_path), "sys_user", query=query, fields="name")
    assert [row["name"] for row in reply.json()["result"]] == names


async def test_a_condition_on_an_unknown_field_is_ignored_as_servicenow_does(tmp_path: Path) -> None:
    reply = await read(standin(tmp_path), "sys_user", query="emial=alice@example.com")
    assert len(reply.json()["result"]) == len(shipped_people())


async def test_limit_and_offset_page_through_a_table(tmp_path: Path) -> None:
    made = standin(tmp_path)
    pages = [await read(made, "sys_user", query="ORDERBYname", limit="10", offset=offset) for offset in ("0", "10")]
    assert [len(page.json()["result"]) for page in pages] == [10, len(shipped_people()) - 10]
    assert {page.headers["x-total-count"] for page in pages} == {str(len(shipped_people()))}


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-sn-apikey": "wrong"}, {"authorization": "Basic d3Jvbmc6d3Jvbmc="}, {"authorization": "Bearer x"}],
)
@pytest.mark.parametrize("path", ["/api/now/table/sys_user", f"/api/sn_sc/servicecatalog/items/{ITEM}"])
async def test_nobody_is_let_in_without_a_key(tmp_path: Path, path: str, headers: dict[str, str]) -> None:
    made = standin(tmp_path)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=create_app(made)), base_url="http://sn.test"
    ) as http:
        reply = await http.get(path, headers=headers)
    assert reply.status_code == 401
    assert reply.json()["error"]["message"] == "User Not Authenticated"


async def test_a_client_with_its_secret_gets_a_token(tmp_path: Path) -> None:
    form = {"grant_type": "client_credentials", "client_id": "client", "client_secret": "secret"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=create_app(standin(tmp_path))), base_url="http://sn.test"
    ) as http:
        refused = await http.post("/oauth_token.do", data={**form, "client_secret": "wrong"})
        token = (await http.post("/oauth_token.do", data=form)).json()["access_token"]
        reply = await http.get("/api/now/table/sys_user", headers={"authorization": f"Bearer {token}"})
    assert (refused.status_code, reply.status_code) == (401, 200)


async def test_an_order_is_kept_and_its_call_is_logged(tmp_path: Path) -> None:
    made = standin(tmp_path)
    variables = {
        "laptop_choices": "apple_mac_book_air_m_2",
        "who_is_this_request_for": demo_person().sys_id,
        "laptop_serial_number": "PF4K7T21",
        "correlation_id": "yes-1",
        "not_a_variable": "dropped",
    }
    body: dict[str, Any] = {"sysparm_quantity": "1", "sysparm_requested_for": demo_person().sys_id}
    async with caller(made) as http:
        bare = await http.post(f"/api/sn_sc/servicecatalog/items/{ITEM}/order_now", json={**body, "variables": {}})
        path = f"/api/sn_sc/servicecatalog/items/{ITEM}/order_now"
        reply = await http.post(path, json={**body, "variables": variables})
    assert (bare.status_code, bare.json()["error"]["message"]) == (400, "Mandatory Variables are required")
    result = reply.json()["result"]
    assert result["number"] == result["request_number"] == "REQ0010002"
    [kept] = [ticket for ticket in TicketBook(tmp_path).tickets if ticket.sys_id == result["request_id"]]
    assert "not_a_variable" not in kept.variables
    lines = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("POST", path, 400),
        ("POST", path, 200),
    ]
    assert lines[-1]["variables"]["correlation_id"] == "yes-1"
    assert "the-key" not in (tmp_path / "calls.jsonl").read_text()


async def test_unknown_tables_items_and_records_are_errors_in_servicenows_shape(tmp_path: Path) -> None:
    made = standin(tmp_path)
    async with caller(made) as http:
        assert (await http.get("/api/now/table/incident")).json()["error"]["message"] == "Invalid table incident"
        assert (await http.get("/api/sn_sc/servicecatalog/items/" + "0" * 32)).status_code == 400
        assert (await http.patch("/api/now/table/sc_request/" + "0" * 32, json={})).status_code == 404
        assert (await http.post("/_standin/faults", json={"status": 500})).status_code == 404


def test_it_does_not_start_without_a_way_to_sign_in() -> None:
    with pytest.raises(ValidationError, match="SERVICENOW_STANDIN_API_KEY"):
        StandinSettings(username="only a name")
