"""What somebody who watches a run sees, from any replica, from any point on."""

import asyncio
from collections.abc import AsyncIterator

import orjson
from agent_service.errors import ModelUnavailable
from agent_service.routes.runs import stream
from shared_clients.stream import ServerSentEvent
from shared_models.schemas import AgentResponse, NormalizedRequest

from tests.support.agent_world import AgentWorld, agent_world
from tests.support.scripted_outside import BreaksOff, calls, says
from tests.support.waiting import eventually


def parsed(chunk: bytes) -> ServerSentEvent:
    fields = dict(line.split(": ", 1) for line in chunk.decode().strip().split("\n"))
    return ServerSentEvent(fields["event"], fields["data"], fields.get("id", ""))


async def watched(world: AgentWorld, request: NormalizedRequest, last_event_id: str = "") -> list[ServerSentEvent]:
    """All events until the end."""
    chunks = stream(world.parts, request.request_id, last_event_id)
    return [parsed(chunk) async for chunk in chunks if not chunk.startswith(b":")]


def text_of(events: list[ServerSentEvent]) -> str:
    """The text as a client shows it: a reset takes back what came before."""
    text = ""
    for event in events:
        if event.event == "reset":
            text = ""
        elif event.event == "delta":
            text += orjson.loads(event.data)["text"]
    return text


def names(events: list[ServerSentEvent]) -> list[str]:
    return [event.event for event in events]


async def test_a_watcher_sees_the_text_grow_and_then_the_saved_answer(world: AgentWorld) -> None:
    world.model.hold()
    world.model.will(says("One two three four."))
    request = world.request("Hello", stream=True)
    task = asyncio.create_task(world.answer_to(request))
    await world.until_model_was_asked()
    watcher = asyncio.create_task(watched(world, request))
    world.model.release()
    events = await watcher
    assert names(events)[-1] == "answer"
    assert text_of(events).strip() == "One two three four."
    answer = AgentResponse.model_validate_json(events[-1].data)
    assert answer == await task
    assert await world.state(request) == "completed"


async def test_an_open_stream_alone_makes_the_model_stream(world: AgentWorld) -> None:
    request = world.request("Hello")
    world.model.will(calls(("search_knowledge", {"query": "a"})), says("Streamed."))
    world.model.hold()
    task = asyncio.create_task(world.answer_to(request))
    await world.until_model_was_asked()
    assert world.model.seen[0].on_delta is None
    watcher = asyncio.create_task(watched(world, request))

    async def is_watched() -> bool:
        return world.parts.live.is_watched(request.request_id)

    await eventually(is_watched)
    world.model.release()
    events = await watcher
    await task
    assert world.model.seen[1].on_delta is not None
    assert "tool" in names(events)
    assert text_of(events).strip() == "Streamed."


async def test_nobody_watching_costs_no_streaming_and_no_rows(world: AgentWorld) -> None:
    await world.ask("Hello")
    assert world.model.seen[0].on_delta is None
    assert await world.sql("select from run_events") == []


async def test_a_resumed_stream_gets_the_text_so_far_as_one_delta(world: AgentWorld) -> None:
    world.model.will(says("a " * 300))
    request = world.request("Hello", stream=True)
    await world.answer_to(request)
    fresh = await watched(world, request)
    deltas = [event for event in fresh if event.event == "delta"]
    assert len(deltas) == 1
    assert text_of(fresh).strip() == ("a " * 300).strip()
    rows = await world.sql("select n from run_events order by n")
    assert len(rows) > 1
    rest = await watched(world, request, f"1-{rows[0]['n']}")
    assert names(rest) == ["delta", "answer"]
    assert text_of(fresh).endswith(text_of(rest))
    assert names(await watched(world, request, deltas[-1].id)) == ["answer"]
    assert names(await watched(world, request, "nonsense")) == names(fresh)


async def test_text_that_was_no_part_of_the_answer_is_taken_back(world: AgentWorld) -> None:
    world.model.will(calls(("search_knowledge", {"query": "a"}), text="Let me look."), says("Found it."))
    request = world.request("Hello", stream=True)
    await world.answer_to(request)
    events = await watched(world, request)
    assert text_of(events).strip() == "Found it."
    kinds = [row["event"] for row in await world.sql("select event from run_events order by n")]
    assert "reset" in kinds


async def test_a_call_that_broke_off_is_taken_back(world: AgentWorld) -> None:
    world.model.will(BreaksOff("half an ans", ModelUnavailable()), says("A whole answer."))
    request = world.request("Hello", stream=True)
    await world.answer_to(request)
    assert text_of(await watched(world, request)).strip() == "A whole answer."


async def test_a_question_is_an_event_before_the_answer(world: AgentWorld) -> None:
    world.model.will(
        calls(("transfer_to_agent", {"agent": "laptop-refresh"})),
        calls(("open_laptop_refresh_ticket", {"laptop_code": "air"})),
    )
    request = world.request("The Air", stream=True)
    await world.answer_to(request)
    events = await watched(world, request)
    assert names(events)[-2:] == ["confirm", "answer"]
    assert orjson.loads(events[-2].data)["tool"] == "open_laptop_refresh_ticket"


async def test_another_replica_shows_the_same(database_url: str) -> None:
    world = AgentWorld(database_url)
    async with agent_world(database_url, world), world.process() as (app, _):
        world.model.hold()
        world.model.will(says("Seen from afar."))
        request = world.request("Hello")
        task = asyncio.create_task(world.answer_to(request))
        await world.until_model_was_asked()
        chunks = stream(app.state.parts, request.request_id, "")
        first = parsed(await anext(chunks))
        assert first.event == "status"
        rest = asyncio.create_task(collected(chunks))
        world.model.release()
        events = await rest
        assert names(events)[-1] == "answer"
        await task


async def collected(chunks: AsyncIterator[bytes]) -> list[ServerSentEvent]:
    return [parsed(chunk) async for chunk in chunks if not chunk.startswith(b":")]


async def test_a_new_attempt_tells_its_watchers_to_begin_anew(database_url: str) -> None:
    world = AgentWorld(database_url)
    world.model.will(calls(("search_knowledge", {"query": "a"})), says("Second try."))
    request = world.request("Hello", stream=True)
    async with agent_world(database_url, world):
        world.model.hold(at=2)
        task = asyncio.create_task(world.post(request))
        await world.until_model_was_asked(2)
        await world.parts.database.close()
        await world.sql("update workers set alive_until = now() - interval '1 second'")
        world.model.gate = None
        async with world.process() as (app, other):
            await world.post(request, other)
            chunks = stream(app.state.parts, request.request_id, "1-1")
            events = await collected(chunks)
        task.cancel()
    assert "reset" in names(events)
    assert text_of(events).strip() == "Second try."
    assert events[-2].id.startswith("2-")


async def test_the_stream_of_an_unknown_run_is_not_found_and_one_on_its_way_is_waited_for(world: AgentWorld) -> None:
    request = world.request("Hello")
    opening = asyncio.create_task(world.http.get(f"/api/v1/runs/{request.request_id}/events", headers=world.headers()))
    await asyncio.sleep(0)
    await world.answer_to(request)
    reply = await opening
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert "event: answer" in reply.text


async def test_old_events_are_removed(world: AgentWorld) -> None:
    await world.ask("Hello", stream=True)
    assert await world.sql("select from run_events") != []
    await world.sql("update run_events set at = now() - interval '1 hour'")
    await world.parts.upkeep.sweep()
    assert await world.sql("select from run_events") == []
