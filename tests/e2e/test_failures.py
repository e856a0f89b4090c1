"""When a part fails, the person reads what happened, no fact is invented, and nothing is lost."""

import pytest

from tests.support import model
from tests.support.system import System
from tests.support.talks import start_refresh, to_ticket


@pytest.mark.parametrize(
    "step",
    [
        model.failure(500, "Error code: 429 - rate limit reached"),
        model.failure(500, "Connection error."),
        model.failure(500, "conversation exceeds the model's context window"),
        model.failure(500, "Error code: 401 - invalid api key sk-secret"),
        model.GARBAGE,
        model.CUT_OFF,
    ],
)
async def test_a_failing_model_ends_the_request_in_plain_words_and_it_can_be_retried(
    system: System, step: model.Json
) -> None:
    system.model.always = step
    failed = await system.ask("alice", "hello", expect="failed")
    assert failed.error_message
    assert "sk-secret" not in failed.raw
    assert "Error code" not in failed.error_message
    system.model.always = None
    retried = await system.request("POST", "alice", f"/api/v1/requests/{failed.request_id}/retry")
    assert retried.json()["status"] == "completed"


@pytest.mark.parametrize("arguments", ["not json", "[]", '{"agent": 7}', '{"agent": "nobody"}', "{" * 5000])
async def test_garbage_tool_arguments_end_in_words(system: System, arguments: str) -> None:
    system.model.script.append(model.calls(("transfer_to_agent", arguments)))
    system.model.script.append(model.text("Sorry, I could not do that."))
    answer = await system.ask("alice", "hello")
    assert answer.content == "Sorry, I could not do that."


async def test_an_unknown_tool_is_an_error_to_the_model_not_to_the_person(system: System) -> None:
    system.model.script.append(model.call("delete_all_laptops", sure=True))
    system.model.script.append(model.text("I cannot do that."))
    assert (await system.ask("alice", "hello")).content == "I cannot do that."


async def test_an_endless_tool_loop_stops_at_its_limit(system: System) -> None:
    system.model.always = model.call("search_knowledge", query="vpn")
    ended = await system.ask("alice", "hello", expect="any")
    assert ended.raw
    assert len(system.model.seen) <= 12


async def test_a_person_is_told_when_the_tool_server_is_down(system: System) -> None:
    await system.stop_tool_server()
    failed = await system.ask("alice", "I need a new laptop", expect="failed")
    assert failed.error_message
    serials = [laptop.serial_number for laptop in system.person("alice").laptops]
    assert not any(serial in failed.raw for serial in serials)


async def test_a_failing_servicenow_is_told_in_its_own_words(system: System) -> None:
    system.servicenow_fails(503)
    answer = await start_refresh(system, "alice")
    assert "ServiceNow" in answer.content
    serials = [laptop.serial_number for laptop in system.person("alice").laptops]
    assert not any(serial in answer.content for serial in serials)


async def test_a_timeout_after_the_effect_gives_one_ticket(system: System) -> None:
    system.servicenow_orders_then_fails()
    ticket = await to_ticket(system, "alice")
    assert [item.number for item in system.tickets_of("alice")] == [ticket.number]
