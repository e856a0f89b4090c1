"""One ticket per confirmation, one open refresh per laptop: counted in the stand-in's ticket file."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_stack.servicenow.faults import Fault
from local_stack.servicenow.tickets import Ticket, TicketBook
from servicenow_mcp.app import Outside, create_app, create_backend
from servicenow_mcp.desk import Desk
from servicenow_mcp.orders import OrderBook
from servicenow_mcp.rules import shipped_rules
from shared_models.tokens import Identity

from tests.support.servicenow import ServiceNowWorld, servicenow_world
from tests.support.waiting import eventually

TOOL = "open_laptop_refresh_ticket"
CODE = "apple_mac_book_air_m_2"
CHOICE = {"laptop_code": CODE, "business_justification": "My laptop is slow."}
SHORT_S = 3.0  # for every call of a test, also for those that are answered


def tickets_of(world: ServiceNowWorld, user_name: str = "alice") -> list[Ticket]:
    """Read the ticket file itself."""
    person = next(each for each in world.standin.directory.people() if each.user_name == user_name)
    return [ticket for ticket in TicketBook(world.standin.folder).tickets if ticket.requested_for == person.sys_id]


def open_tickets_of(world: ServiceNowWorld) -> list[Ticket]:
    return [ticket for ticket in tickets_of(world) if ticket.is_open]


async def test_a_confirmed_order_opens_one_ticket_that_says_all(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        made = await world.ask(TOOL, CHOICE, intent="yes-1")
        [ticket] = tickets_of(world)
    assert made == {
        "status": "opened",
        "ticket_number": ticket.number,
        "sys_id": ticket.sys_id,
        "laptop_code": CODE,
        "model": "MacBook Air M2",
        "serial_number": "PF4K7T21",
        "team": "IT Hardware",
        "state": "Open",
        "opened_at": "2026-03-17T09:30:00Z",
        "updates": "by e-mail",
    }
    assert ticket.number.startswith("REQ00")
    assert len(ticket.number) == 10
    assert ticket.variables == {
        "laptop_choices": CODE,
        "who_is_this_request_for": ticket.requested_for,
        "business_justification": "My laptop is slow.",
        "laptop_serial_number": "PF4K7T21",
        "correlation_id": "yes-1",
    }


async def test_without_a_confirmation_nothing_is_ordered(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        assert (await world.fails(TOOL, CHOICE)).startswith("I need your confirmation first")
        assert tickets_of(world) == []
        assert world.standin.folder.joinpath("calls.jsonl").exists() is False


@pytest.mark.parametrize("code", ["apple_mac_book_air_m_3", "no_such_laptop", "Apple_Mac_Book_Air_M_2"])
async def test_a_laptop_of_another_region_is_refused_with_the_own_ones(tmp_path: Path, code: str) -> None:
    async with servicenow_world(tmp_path) as world:
        said = await world.fails(TOOL, {"laptop_code": code}, intent="yes-1")
        assert tickets_of(world) == []
    assert said.startswith("That laptop is not offered in your region.")
    assert CODE in said


async def test_a_foreign_serial_number_orders_nothing(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        said = await world.fails(TOOL, {**CHOICE, "serial_number": "C02BB14NA7"}, intent="yes-1")
        assert [tickets_of(world), tickets_of(world, "ben")] == [[], []]
    assert said.startswith("You have no laptop with that serial number.")


async def test_a_retry_of_the_same_confirmation_gets_the_same_answer(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        first = await world.ask(TOOL, CHOICE, intent="yes-1")
        again = await world.ask(TOOL, CHOICE, intent="yes-1")
        assert len(tickets_of(world)) == 1
    assert again == first


async def test_a_second_yes_is_told_of_the_open_ticket(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        first = await world.ask(TOOL, CHOICE, intent="yes-1")
        other = {"laptop_code": "lenovo_think_pad_p_16_gen_2"}
        second = await world.ask(TOOL, other, intent="yes-2")
        assert len(tickets_of(world)) == 1
    assert second == {**first, "status": "already_open"}


async def test_a_pending_ticket_from_before_is_found(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        found = await world.ask(TOOL, CHOICE, email="hugo@example.com", intent="yes-1")
        assert len(tickets_of(world, "hugo")) == 1
    assert (found["status"], found["ticket_number"]) == ("already_open", "REQ0010001")


async def test_a_closed_ticket_makes_room_and_is_still_found_by_its_own_confirmation(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        first = await world.ask(TOOL, CHOICE, intent="yes-1")
        world.standin.tickets.change(world.standin.tickets.tickets[-1], {"state": "3"})
        assert (await world.ask(TOOL, CHOICE, intent="yes-1"))["ticket_number"] == first["ticket_number"]
        second = await world.ask(TOOL, CHOICE, intent="yes-2")
    assert second["status"] == "opened"
    assert second["ticket_number"] != first["ticket_number"]


async def test_each_of_several_laptops_has_a_ticket_of_its_own(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        numbers = set()
        for serial in ("PF4D2A88", "PF5D9P16"):
            arguments = {"laptop_code": CODE, "serial_number": serial}
            made = await world.ask(TOOL, arguments, email="daniel@example.com", intent=f"yes-{serial}")
            numbers.add(made["ticket_number"])
        assert len(tickets_of(world, "daniel")) == len(numbers) == 2


@pytest.mark.parametrize("same_confirmation", [True, False])
async def test_fifty_calls_at_once_open_one_ticket(tmp_path: Path, same_confirmation: bool) -> None:
    async with servicenow_world(tmp_path) as world:
        world.standin.faults.add(Fault(path="order_now", delay_s=0.01, times=-1))
        intents = ["yes-1" if same_confirmation else f"yes-{number}" for number in range(50)]
        made = await asyncio.gather(*(world.ask(TOOL, CHOICE, intent=intent) for intent in intents))
        assert len(tickets_of(world)) == 1
    assert len({each["ticket_number"] for each in made}) == 1
    assert [each["status"] for each in made].count("opened") == (50 if same_confirmation else 1)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_error_after_the_effect_finds_the_ticket(tmp_path: Path, status: int) -> None:
    async with servicenow_world(tmp_path) as world:
        world.standin.faults.add(Fault(path="order_now", status=status, after_effect=True))
        made = await world.ask(TOOL, CHOICE, intent="yes-1")
        [ticket] = tickets_of(world)
    assert (made["status"], made["ticket_number"]) == ("opened", ticket.number)


async def test_a_timeout_after_the_effect_finds_the_ticket(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path, servicenow_timeout=SHORT_S) as world:
        world.standin.faults.add(Fault(path="order_now", silent=True, after_effect=True))
        made = await world.ask(TOOL, CHOICE, intent="yes-1")
        [ticket] = tickets_of(world)
    assert (made["status"], made["ticket_number"]) == ("opened", ticket.number)


async def test_a_page_instead_of_the_answer_after_the_effect_finds_the_ticket(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        world.standin.faults.add(Fault(path="order_now", status=204, after_effect=True))
        made = await world.ask(TOOL, CHOICE, intent="yes-1")
        assert [made["ticket_number"]] == [ticket.number for ticket in tickets_of(world)]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_error_before_the_effect_is_repeated_after_a_look(tmp_path: Path, status: int) -> None:
    async with servicenow_world(tmp_path) as world:
        world.standin.faults.add(Fault(path="order_now", status=status, times=2))
        assert (await world.ask(TOOL, CHOICE, intent="yes-1"))["status"] == "opened"
        assert len(tickets_of(world)) == 1


async def test_a_silence_without_an_effect_is_told_honestly_and_the_next_try_orders(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path, servicenow_timeout=SHORT_S) as world:
        world.standin.faults.add(Fault(path="order_now", silent=True))
        said = await world.fails(TOOL, CHOICE, intent="yes-1")
        assert tickets_of(world) == []
        assert (await world.ask(TOOL, CHOICE, intent="yes-1"))["status"] == "opened"
        assert len(tickets_of(world)) == 1
    assert "I cannot say yet whether your ticket was opened" in said


async def test_when_nothing_can_be_looked_up_after_a_silence_nothing_is_ordered_again(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        world.standin.faults.add(Fault(path="order_now", status=500, after_effect=True))
        before = Fault(path="sc_req_item", times=2)  # the looks before the order pass
        world.standin.faults.add(before)
        world.standin.faults.add(Fault(path="sc_req_item", status=403))
        said = await world.fails(TOOL, CHOICE, intent="yes-1")
        made = await world.ask(TOOL, CHOICE, intent="yes-1")
        assert [made["ticket_number"]] == [ticket.number for ticket in tickets_of(world)]
    assert "I cannot say yet" in said


async def test_a_ticket_that_cannot_be_read_back_is_still_told(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        world.standin.faults.add(Fault(path="sc_req_item", times=2))
        world.standin.faults.add(Fault(path="sc_req_item", status=403))
        made = await world.ask(TOOL, CHOICE, intent="yes-1")
        [ticket] = tickets_of(world)
    assert (made["ticket_number"], made["serial_number"]) == (ticket.number, "PF4K7T21")


async def test_a_caller_who_leaves_during_the_order_finds_the_ticket_later(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        world.standin.faults.add(Fault(path="order_now", silent=True, after_effect=True))
        left = asyncio.create_task(world.call(TOOL, CHOICE, intent="yes-1"))

        async def ordered() -> bool:
            return len(tickets_of(world)) == 1

        await eventually(ordered)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        made = await world.ask(TOOL, CHOICE, intent="yes-1")
        assert [made["ticket_number"]] == [ticket.number for ticket in tickets_of(world)]


@asynccontextmanager
async def two_replicas(folder: Path) -> AsyncIterator[tuple[ServiceNowWorld, list[Any]]]:
    async with servicenow_world(folder) as world:
        second = create_app(world.settings, Outside(world.http, world.clock.today, 0.001))
        async with second.router.lifespan_context(second):
            yield world, [world.app, second]


async def test_two_replicas_that_order_at_the_same_moment_leave_one_open_ticket(tmp_path: Path) -> None:
    async with two_replicas(tmp_path) as (world, apps):
        world.standin.faults.add(Fault(path="order_now", delay_s=0.05, times=2))
        calls = [world.call(TOOL, CHOICE, intent=f"yes-{n}", app=app) for n, app in enumerate(apps)]
        results = [each.structured_content or {} for each in await asyncio.gather(*calls)]
        assert len(tickets_of(world)) == 2
        [kept] = open_tickets_of(world)
        assert {each["ticket_number"] for each in results} == {kept.number}
        assert sorted(each["status"] for each in results) == ["already_open", "opened"]
        for number, result in enumerate(results):
            assert (await world.ask(TOOL, CHOICE, intent=f"yes-{number}")) == result


FAULTS = st.builds(
    Fault,
    path=st.sampled_from(["order_now", "sc_req_item", "sys_user", "cmdb_ci_computer"]),
    status=st.sampled_from([401, 403, 429, 500, 502, 503, 504]),
    times=st.integers(1, 3),
    after_effect=st.booleans(),
)


@settings(max_examples=25)
@given(faults=st.lists(FAULTS, max_size=6), yeses=st.integers(1, 2))
async def test_whatever_fails_there_is_never_a_second_ticket(
    tmp_path_factory: pytest.TempPathFactory, faults: list[Fault], yeses: int
) -> None:
    async with servicenow_world(tmp_path_factory.mktemp("state")) as world:
        for fault in faults:
            world.standin.faults.add(fault.model_copy())
        for number in range(8):
            await world.call(TOOL, CHOICE, intent=f"yes-{number % yeses}")
        world.standin.faults.clear()
        made = await world.ask(TOOL, CHOICE, intent="yes-0")
        assert [made["ticket_number"]] == [ticket.number for ticket in tickets_of(world)]


async def test_five_hundred_lost_answers_open_one_ticket_each(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        backend = create_backend(world.settings, world.http)
        desk = Desk(backend, OrderBook(backend, pause_s=0.0), shipped_rules(), world.clock.today)
        serials = [f"SN-{number}" for number in range(10)]
        people = [(each.partition("-")[2], {"model": "Latitude 7440", "serial_number": each}) for each in serials]
        world.write_people(
            [
                {
                    "user_name": f"p{n}",
                    "name": n,
                    "email": f"p{n}@example.com",
                    "location": "London",
                    "laptops": [laptop],
                }
                for n, laptop in people
            ]
        )
        for number in range(500):
            world.standin.faults.add(Fault(path="order_now", status=504, after_effect=True))
            caller = Identity(uuid4(), f"p{number % 10}@example.com", "", uuid4(), TOOL, intent=f"yes-{number}")
            made = await desk.open_ticket(caller, CODE, "", None)
            book = world.standin.tickets
            matching = [each for each in book.tickets if each.variables["correlation_id"] == caller.intent]
            assert [made.ticket_number] == [ticket.number for ticket in matching]
            book.tickets.remove(matching[0])
