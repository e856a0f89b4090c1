"""From "I need a new laptop" to one ticket, with facts that stand nowhere but in ServiceNow."""

import random
import string
from datetime import date

import pytest
from shared_models.enums import RequestStatus

from tests.support import model
from tests.support.system import System
from tests.support.talks import start_refresh, to_confirmation, to_ticket


async def test_a_person_gets_from_the_first_question_to_one_ticket(system: System) -> None:
    ticket = await to_ticket(system, "alice")
    assert ticket.number.startswith("REQ")
    assert [item.number for item in system.tickets_of("alice")] == [ticket.number]
    assert ticket.number in ticket.answer


async def test_the_answer_carries_the_facts_that_servicenow_holds(system: System) -> None:
    serial = "SN" + "".join(random.choices(string.ascii_uppercase + string.digits, k=9))
    model = "Testbook " + "".join(random.choices(string.ascii_lowercase, k=8))
    bought = date(2020, 3, 14)
    system.set_laptop("alice", model=model, serial_number=serial, purchase_date=bought)
    answer = await start_refresh(system, "alice")
    for fact in (serial, model, bought.isoformat()):
        assert fact in answer.content
    assert {"sys_user", "cmdb_ci_computer"} <= system.servicenow_tables_read()


@pytest.mark.parametrize(("months", "is_eligible"), [(-1, False), (0, True)])
async def test_eligibility_flips_at_the_month_of_the_policy(system: System, months: int, is_eligible: bool) -> None:
    system.set_laptop_age("alice", cycles=1, months=months)
    answer = await start_refresh(system, "alice")
    assert ("not eligible" in answer.content.lower()) is not is_eligible
    assert answer.citations


@pytest.mark.parametrize("region", ["NA", "EMEA", "APAC", "LATAM"])
async def test_the_options_are_those_of_the_persons_region(system: System, region: str) -> None:
    person = system.person_of_region(region)
    start = await start_refresh(system, person)
    options = await system.ask(person, "yes", session=start.session)
    for offered in system.offers_of(region):
        assert offered in options.content


async def test_saying_yes_twice_opens_one_ticket(system: System) -> None:
    ticket = await to_ticket(system, "alice")
    again = await system.ask("alice", "yes", session=ticket.session)
    assert again.status is RequestStatus.COMPLETED
    assert len(system.tickets_of("alice")) == 1


async def test_a_second_conversation_is_reminded_of_the_open_ticket(system: System) -> None:
    first = await to_ticket(system, "alice")
    second = await to_ticket(system, "alice")
    assert second.number == first.number
    assert len(system.tickets_of("alice")) == 1


async def test_nothing_is_ordered_without_the_persons_yes(system: System) -> None:
    asked = await to_confirmation(system, "alice")
    assert asked.confirmation is not None
    declined = await system.ask("alice", "no", session=asked.session)
    assert declined.status is RequestStatus.COMPLETED
    assert system.tickets_of("alice") == []


async def test_a_confirmation_may_be_given_by_its_id(system: System) -> None:
    asked = await to_confirmation(system, "alice")
    assert asked.confirmation is not None
    done = await system.ask(
        "alice", "go ahead", session=asked.session, confirm={"id": str(asked.confirmation.id), "decision": "approve"}
    )
    assert [item.number in done.content for item in system.tickets_of("alice")] == [True]


async def test_nobody_can_confirm_for_somebody_else(system: System) -> None:
    asked = await to_confirmation(system, "alice")
    assert asked.confirmation is not None
    decision = {"id": str(asked.confirmation.id), "decision": "approve"}
    reply = await system.post("noah", {"content": "yes", "session_id": str(asked.session), "confirm": decision})
    assert reply.status_code == 404
    await system.ask("noah", "yes", confirm=decision)
    assert system.tickets_of("alice") == []


async def test_the_model_cannot_approve_by_calling_the_tool_itself(system: System) -> None:
    asked = await to_confirmation(system, "alice")
    system.model.insists_on_calling("open_laptop_refresh_ticket", laptop_code="apple_mac_book_air_m_2")
    await system.ask("alice", "hm, let me think about that", session=asked.session)
    assert system.tickets_of("alice") == []


async def test_a_yes_to_something_else_does_not_confirm(system: System) -> None:
    asked = await to_confirmation(system, "alice")
    system.model.script.append(model.text("By the way: do you like your present laptop?"))
    await system.ask("alice", "how long does delivery take", session=asked.session)
    system.model.script.append(model.text("Good to hear."))
    await system.ask("alice", "yes", session=asked.session)
    assert system.tickets_of("alice") == []
