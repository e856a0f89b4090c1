from pathlib import Path
from typing import Any

import pytest
from local_stack.servicenow.app import Rights
from local_stack.servicenow.catalogue import Catalogue
from local_stack.servicenow.faults import Fault
from pydantic import SecretStr
from servicenow_mcp.app import create_backend
from servicenow_mcp.doctor import Check, diagnose, report, run_checks
from servicenow_mcp.settings import ServiceNowSettings

from tests.support.servicenow import ServiceNowWorld, servicenow_world


async def checks(world: ServiceNowWorld, **changes: Any) -> list[Check]:
    settings = world.settings.model_copy(update=changes)
    backend = create_backend(settings, world.http)
    return await run_checks(backend.rest, backend.catalogue_item)


def failing(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found if not check.ok}


async def test_a_complete_set_up_passes_and_orders_nothing(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        found = await checks(world)
        assert len(world.standin.tickets.tickets) == 1
    assert failing(found) == {}
    assert {check.name for check in found} >= {
        "sign-in",
        "read sys_user",
        "read cmdb_ci_computer",
        "read sc_request",
        "read sc_req_item",
        "catalogue item",
        "variable correlation_id",
        "choices of laptop_choices",
        "order",
    }
    assert report(found)["ok"] is True


async def test_a_wrong_key_is_named_alone_and_not_shown(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        found = await checks(world, servicenow_api_key=SecretStr("a-wrong-key"))
    [check] = found
    assert (check.name, check.ok) == ("sign-in", False)
    assert "a-wrong-key" not in str(report(found))


@pytest.mark.parametrize("table", ["sys_user", "cmdb_ci_computer", "sc_request", "sc_req_item"])
async def test_each_unreadable_table_is_named(tmp_path: Path, table: str) -> None:
    async with servicenow_world(tmp_path, rights=Rights(hidden_tables=frozenset({table}))) as world:
        bad = failing(await checks(world))
    assert list(bad) == [f"read {table}"]
    assert table in bad[f"read {table}"].fix


@pytest.mark.parametrize("table", ["cmdb_ci_computer", "sc_request"])
async def test_a_table_that_answers_403_is_named(tmp_path: Path, table: str) -> None:
    async with servicenow_world(tmp_path) as world:
        world.standin.faults.add(Fault(path=table, status=403, times=-1))
        assert list(failing(await checks(world))) == [f"read {table}"]


async def test_a_missing_field_right_is_named(tmp_path: Path) -> None:
    hidden = frozenset({"purchase_date", "serial_number"})
    async with servicenow_world(tmp_path, rights=Rights(hidden_fields=hidden)) as world:
        bad = failing(await checks(world))
    assert list(bad) == ["read cmdb_ci_computer"]
    assert bad["read cmdb_ci_computer"].detail == "not readable: serial_number, purchase_date"


async def test_a_missing_catalogue_item_is_named(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        bad = failing(await checks(world, servicenow_laptop_refresh_id="0" * 32))
    assert list(bad) == ["catalogue item"]
    assert "SERVICENOW_LAPTOP_REFRESH_ID" in bad["catalogue item"].fix


async def test_missing_variables_and_choices_are_named_and_no_order_is_tried(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        data = world.standin.catalogue.model_dump()
        choices, _, justification, serial, correlation = data["item"]["variables"]
        choices["choices"] = choices["choices"][1:]
        serial["mandatory"] = False
        data["item"]["variables"] = [choices, justification, serial, correlation]
        world.standin.catalogue = Catalogue.model_validate(data)
        bad = failing(await checks(world))
        assert len(world.standin.tickets.tickets) == 1
    assert {name: check.detail for name, check in bad.items()} == {
        "variable who_is_this_request_for": "missing",
        "variable laptop_serial_number": "not mandatory",
        "choices of laptop_choices": "missing: apple_mac_book_air_m_2",
    }


async def test_a_missing_right_to_order_is_named(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path, rights=Rights(may_order=False)) as world:
        bad = failing(await checks(world))
    assert list(bad) == ["order"]
    assert "Security constraints" in bad["order"].detail


@pytest.mark.parametrize(
    ("fault", "words"),
    [(Fault(hibernating=True, times=-1), "asleep"), (Fault(status=503, times=-1), "cannot be reached")],
)
async def test_an_instance_that_does_not_answer_is_told_in_plain_words(
    tmp_path: Path, fault: Fault, words: str
) -> None:
    async with servicenow_world(tmp_path) as world:
        world.standin.faults.add(fault)
        [check] = await checks(world)
    assert not check.ok
    assert words in check.fix


async def test_half_set_settings_are_named_without_their_values() -> None:
    def load() -> ServiceNowSettings:
        return ServiceNowSettings(
            servicenow_instance_url="https://example.service-now.com",
            servicenow_api_key=SecretStr("a-secret-key"),
            servicenow_laptop_refresh_id="not hexadecimal",
        )

    found = await diagnose(load)
    assert found["ok"] is False
    assert "SERVICENOW_LAPTOP_REFRESH_ID" in str(found)
    assert "a-secret-key" not in str(found)
