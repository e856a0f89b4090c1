"""Commands are answered in code, on every integration, without a model."""

import asyncio
from typing import Any

from shared_models.enums import RequestStatus
from shared_models.ids import new_id
from shared_models.schemas import AgentResponse

from tests.support.agent_world import AgentWorld, agent_world
from tests.support.scripted_outside import calls, says


def content(answer: AgentResponse) -> str:
    assert answer.response is not None, answer.error
    return answer.response.content


async def test_help_status_and_tokens_cost_no_model_call(world: AgentWorld) -> None:
    session = (await world.ask("Hello")).session_id
    assert "cancel" in content(await world.ask("/help", session=session))
    assert "not working on anything" in content(await world.ask("Status", session=session))
    assert "15 tokens" in content(await world.ask("tokens", session=session))
    assert len(world.model.seen) == 1


async def test_status_overtakes_the_running_turn(world: AgentWorld) -> None:
    session = new_id()
    world.model.hold()
    running = world.request("a hard question", session=session)
    waiting = world.request("and another", session=session)
    tasks = [asyncio.create_task(world.answer_to(running))]
    await world.until_model_was_asked()
    tasks.append(asyncio.create_task(world.answer_to(waiting)))
    await world.until_state(waiting, "waiting")
    text = content(await world.ask("status", session=session))
    assert "a hard question" in text
    assert "waiting: and another" in text
    world.model.release()
    await asyncio.gather(*tasks)


async def test_status_tells_the_open_question(world: AgentWorld) -> None:
    world.model.will(
        calls(("transfer_to_agent", {"agent": "laptop-refresh"})),
        calls(("open_laptop_refresh_ticket", {"laptop_code": "air"})),
    )
    session = (await world.ask("A laptop")).session_id
    assert "Open a laptop request for air." in content(await world.ask("status", session=session))


async def test_cancel_stops_what_runs_and_what_waits(world: AgentWorld) -> None:
    session = new_id()
    world.model.hold()
    running, waiting = (world.request(f"question {at}", session=session) for at in range(2))
    tasks = [asyncio.create_task(world.answer_to(running))]
    await world.until_model_was_asked()
    tasks.append(asyncio.create_task(world.answer_to(waiting)))
    await world.until_state(waiting, "waiting")
    assert content(await world.ask("stop", session=session)) == "Stopped 2 requests."
    answers = await asyncio.gather(*tasks)
    assert {answer.status for answer in answers} == {RequestStatus.CANCELLED}
    assert all(answer.error and answer.error.code == "cancelled" for answer in answers)
    world.model.release()
    assert content(await world.ask("still there?", session=session)) == "Hello from the model."
    assert content(await world.ask("cancel", session=session)) == "There was nothing to stop."


async def test_cancel_also_stops_what_it_overtook_on_the_way(world: AgentWorld) -> None:
    session = (await world.ask("Hello")).session_id
    late = world.request("late", session=session)
    await world.ask("cancel", session=session)
    assert (await world.answer_to(late)).status is RequestStatus.CANCELLED
    assert len(world.model.seen) == 1


async def test_new_ends_the_session_and_forgets_the_conversation(world: AgentWorld) -> None:
    session = (await world.ask("Hello")).session_id
    answer = await world.ask("reset", session=session)
    assert answer.session_ended
    assert (await world.get(f"/api/v1/sessions/{session}"))["status"] == "closed"
    late = await world.ask("I named the session", session=session)
    assert late.error is not None
    assert (late.status, late.error.code) == (RequestStatus.FAILED, "session_closed")


async def test_what_was_already_on_its_way_behind_new_starts_afresh(world: AgentWorld) -> None:
    world.model.will(calls(("transfer_to_agent", {"agent": "laptop-refresh"})), says("Which one?"))
    session = (await world.ask("A laptop", named_session=False)).session_id
    await world.ask("new", session=session, named_session=False)
    answer = await world.ask("What is the VPN?", session=session, named_session=False)
    assert content(answer) == "Hello from the model."
    assert world.model.seen[-1].agent == "routing-agent"
    assert [item["content"] for item in world.model.seen[-1].input] == ["What is the VPN?"]


async def test_a_run_of_a_conversation_that_went_on_elsewhere_follows_it(world: AgentWorld) -> None:
    thread: dict[str, Any] = {"conversation_key": "dm:U1", "named_session": False}
    old = (await world.ask("Hello", **thread)).session_id
    await world.ask("new", session=old, **thread)
    new = (await world.ask("Fresh start", **thread)).session_id
    late = world.request("Where were we?", session=old, **thread)
    assert content(await world.answer_to(late)) == "Hello from the model."
    said = [item["content"] for item in world.model.seen[-1].input if item["role"] == "user"]
    assert said == ["Fresh start", "Where were we?"]
    rows = await world.sql("select session_id from agent_runs where request_id = $1", late.request_id)
    assert rows[0]["session_id"] == new


async def test_a_sentence_that_holds_a_command_word_is_no_command(world: AgentWorld) -> None:
    await world.ask("I need help with a new laptop")
    assert len(world.model.seen) == 1


async def test_commands_leave_the_conversation_of_the_model_alone(database_url: str) -> None:
    async with agent_world(database_url) as world:
        session = (await world.ask("Hello")).session_id
        await world.ask("help", session=session)
        await world.ask("And now?", session=session)
    assert [item["content"] for item in world.model.seen[-1].input] == ["Hello", "Hello from the model.", "And now?"]
