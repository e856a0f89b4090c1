"""Processes die, hang and come back: a run is taken up where it was, and what is paid for is not paid again."""

import asyncio

import pytest
from agent_service.domain.ports import ModelCall, ModelReply
from shared_models.enums import RequestStatus
from shared_models.schemas import AgentResponse
from shared_models.worker import FORGET, FREE_ITEMS, FREE_LANES

from tests.support.agent_world import AgentWorld, agent_world
from tests.support.scripted_outside import calls, says
from tests.support.waiting import eventually

TO_LAPTOPS = calls(("transfer_to_agent", {"agent": "laptop-refresh"}))
TICKET = "open_laptop_refresh_ticket"


async def lose_the_database(world: AgentWorld) -> None:
    """The process lives on, but as if it were dead: its lease runs out and no statement of it gets through."""
    await world.parts.database.close()
    await world.sql("update workers set alive_until = now() - interval '1 second'")


async def declare_dead(world: AgentWorld) -> None:
    """What another process does once a row of `workers` has run out, which a process that lives may renew at any moment."""
    ids = [row["id"] for row in await world.sql("select id from workers")]
    for statement in (FREE_ITEMS, FREE_LANES, FORGET):
        await world.sql(statement, ids)


async def until_a_tool_was_called(world: AgentWorld) -> None:
    async def called() -> bool:
        return bool(world.tools.called)

    await eventually(called)


async def test_a_finished_model_turn_is_not_paid_twice(database_url: str) -> None:
    world = AgentWorld(database_url)
    world.tools.gate = asyncio.Event()
    world.tools.answers["find_my_laptops"] = "{}"
    world.model.will(TO_LAPTOPS, calls(("find_my_laptops", {"a": 1})), calls(("find_my_laptops", {})))
    request = world.request("My laptop?")
    async with agent_world(database_url, world):
        first = asyncio.create_task(world.post(request))
        await world.until_model_was_asked(3)
        await until_a_tool_was_called(world)
        await lose_the_database(world)
        world.tools.gate = None
        world.model.will(says("One laptop."))
        async with world.process() as (_, other):
            reply = await world.post(request, other)
        answer = AgentResponse.model_validate_json(reply.content)
        first.cancel()
    assert answer.response is not None
    assert answer.response.content == "One laptop."
    assert len(world.model.seen) == 4
    assert world.tools.names == ["find_my_laptops", "find_my_laptops"]
    assert answer.response.usage.model_calls == 4


async def test_an_effect_whose_answer_was_lost_is_repeated_under_the_same_intent(database_url: str) -> None:
    world = AgentWorld(database_url)
    async with agent_world(database_url, world):
        world.model.will(TO_LAPTOPS, calls((TICKET, {"laptop_code": "air"})))
        session = (await world.ask("The Air")).session_id
        world.tools.gate = asyncio.Event()
        yes = world.request("yes", session=session)
        first = asyncio.create_task(world.post(yes))
        await until_a_tool_was_called(world)
        asked = len(world.model.seen)
        await lose_the_database(world)
        world.tools.gate = None
        world.model.will(says("Your ticket is there."))
        async with world.process() as (_, other):
            reply = await world.post(yes, other)
        first.cancel()
    assert AgentResponse.model_validate_json(reply.content).status is RequestStatus.COMPLETED
    assert len(world.model.seen) == asked + 1
    assert len(world.tools.called) == 2
    assert world.tools.called[0].arguments == world.tools.called[1].arguments
    assert world.tools.called[0].identity == world.tools.called[1].identity
    assert world.tools.called[0].identity.intent
    states = await world.sql("select state, outcome from confirmations")
    assert [(row["state"], row["outcome"]) for row in states] == [("approved", "{}")]


async def test_a_process_that_was_thought_dead_changes_nothing_any_more(database_url: str) -> None:
    world = AgentWorld(database_url)
    async with agent_world(database_url, world, answer_wait_s=60):
        world.model.hold()
        request = world.request("Hello")
        late = asyncio.create_task(world.post(request))
        await world.until_model_was_asked()
        gate, world.model.gate = world.model.gate, None
        await declare_dead(world)
        world.model.will(says("The second worker's answer."))
        async with world.process() as (_, other):
            reply = await world.post(request, other)
            assert gate is not None
            gate.set()
            world.model.always = says("The late worker's answer.")
            saved = AgentResponse.model_validate_json((await late).content)
        answer = AgentResponse.model_validate_json(reply.content)
        assert answer.response is not None
        assert answer.response.content == "The second worker's answer."
        assert saved == answer
    messages = await world.sql("select content from session_messages where role = 'assistant'")
    assert [row["content"] for row in messages] == ["The second worker's answer."]


async def test_who_waits_for_a_run_that_a_crash_took_back_is_told_to_bring_it_again(database_url: str) -> None:
    world = AgentWorld(database_url)
    async with agent_world(database_url, world, answer_wait_s=3600):
        world.model.hold()
        request = world.request("Hello")
        waiting = asyncio.create_task(world.post(request))
        await world.until_model_was_asked()
        for table in ("work_items", "lanes", "run_steps", "agent_runs", "request_sessions"):
            await world.sql(f"delete from {table}")
        await world.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like 'LISTEN%'")
        assert (await waiting).status_code == 202
        gate, world.model.gate = world.model.gate, None
        assert gate is not None
        gate.set()
        assert (await world.answer_to(request)).status is RequestStatus.COMPLETED


async def test_a_stopping_process_gives_its_runs_to_another(database_url: str) -> None:
    world = AgentWorld(database_url)
    world.model.hold()
    requests = [world.request("Hello") for _ in range(3)]
    async with agent_world(database_url, world, answer_wait_s=0.05):
        for request in requests:
            assert (await world.post(request)).status_code == 202
        await world.until_model_was_asked(3)
    rows = await world.sql("select leased_by, attempts, lost from work_items")
    assert [(row["leased_by"], row["attempts"], row["lost"]) for row in rows] == [(None, 0, 0)] * 3
    world.model.gate = None
    async with agent_world(database_url, world):
        for request in requests:
            assert (await world.answer_to(request)).status is RequestStatus.COMPLETED


async def test_a_database_that_is_away_for_a_moment_costs_no_second_model_call(database_url: str) -> None:
    world = AgentWorld(database_url)

    async with agent_world(database_url, world):
        database = world.parts.database
        request = world.request("Hello")
        world.model.hold()
        task = asyncio.create_task(world.post(request))
        await world.until_model_was_asked()
        await database.close()
        world.model.release()
        await world.until_state(request, "processing")
        await database.open()
        await world.until_state(request, "completed")
        await task
    assert len(world.model.seen) == 1


async def test_another_replica_ends_waits_for_and_serves_a_run(database_url: str) -> None:
    world = AgentWorld(database_url)
    async with agent_world(database_url, world), world.process() as (_, other):
        world.model.hold()
        request = world.request("Hello")
        here = asyncio.create_task(world.post(request))
        await world.until_model_was_asked()
        there = asyncio.create_task(world.post(request, other))
        await world.until_state(request, "processing")
        world.model.release()
        replies = await asyncio.gather(here, there)
        assert {reply.status_code for reply in replies} == {200}
        world.model.hold()
        again = world.request("Hello", session=request.session_id)
        task = asyncio.create_task(world.post(again))
        await world.until_model_was_asked(2)
        world.http, mine = other, world.http
        view = await world.end(again)
        world.http = mine
        assert view.json()["status"] == "cancelled"
        assert AgentResponse.model_validate_json((await task).content).status is RequestStatus.CANCELLED

        async def nothing_runs() -> bool:
            return world.parts.runs.is_idle

        await eventually(nothing_runs)


async def test_runs_queue_up_when_all_slots_are_taken_and_all_are_answered(database_url: str) -> None:
    async with agent_world(database_url, run_concurrency=2, runs_per_user=100) as world:
        answers = await asyncio.gather(*(world.ask(f"question {at}") for at in range(12)))
        assert {answer.status for answer in answers} == {RequestStatus.COMPLETED}


async def test_a_run_remembers_what_it_did_whatever_kills_it(database_url: str) -> None:
    """Killed at each model call and each tool call in turn, a run still takes every step once."""
    world = AgentWorld(database_url)
    for kill_at in range(1, 4):
        world.model.seen.clear()
        world.tools.called.clear()
        world.model.script.clear()
        world.model.always = steps
        request = world.request("My laptop?")
        async with agent_world(database_url, world):
            world.model.hold(at=kill_at)
            task = asyncio.create_task(world.post(request))
            await world.until_model_was_asked(kill_at)
            await lose_the_database(world)
            world.model.gate = None
            async with world.process() as (_, other):
                reply = await world.post(request, other)
            task.cancel()
        answer = AgentResponse.model_validate_json(reply.content)
        assert answer.response is not None
        assert answer.response.content == "Done."
        assert len(world.model.seen) == 4
        assert world.tools.names == ["find_my_laptops"]


def steps(call: ModelCall) -> ModelReply:
    done = [item["name"] for item in call.input if item["type"] == "function_call"]
    if "transfer_to_agent" not in done:
        return TO_LAPTOPS
    return says("Done.") if "find_my_laptops" in done else calls(("find_my_laptops", {}))


@pytest.mark.parametrize(
    "script", [[says("One."), says("Two.")], [TO_LAPTOPS, TO_LAPTOPS, says("Two.")]], ids=["answers", "goes on"]
)
async def test_a_run_whose_start_was_lost_with_the_database_starts_again(
    database_url: str, script: list[ModelReply]
) -> None:
    """A start is not flushed: a crash of the database may take it back, but not what its worker believes."""
    async with agent_world(database_url) as world:
        world.model.will(*script)
        world.model.hold()
        request = world.request("Hello")
        asked = asyncio.create_task(world.post(request))
        await world.until_model_was_asked()
        await world.sql("update agent_runs set state = 'waiting', attempt = 0, started_at = null")
        await world.sql("delete from run_steps")
        world.model.release()
        answer = AgentResponse.model_validate_json((await asked).content)
        assert answer.response is not None
        assert answer.response.content == "Two."
        await world.until_state(request, "completed")
        [left] = await world.sql("select count(*) as n from work_items where queue = 'agent-service.runs'")
    assert left["n"] == 0
