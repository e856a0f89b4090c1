"""The run row is the only judge: whoever ends it first decides, also before it has arrived."""

import asyncio
import random
from collections.abc import Awaitable

from shared_models.enums import RequestStatus
from shared_models.ids import new_id
from shared_models.schemas import AgentResponse, NormalizedRequest, Person, RunView

from tests.support.agent_world import BEN, AgentWorld, agent_world
from tests.support.scripted_outside import calls
from tests.support.waiting import eventually


def view_of(content: bytes) -> RunView:
    return RunView.model_validate_json(content)


async def test_a_running_turn_is_cancelled_at_once(world: AgentWorld) -> None:
    world.model.hold()
    request = world.request("Hello")
    task = asyncio.create_task(world.answer_to(request))
    await world.until_model_was_asked()
    view = view_of((await world.end(request)).content)
    assert view.status is RequestStatus.CANCELLED
    answer = await task
    assert answer.status is RequestStatus.CANCELLED
    assert view.answer == answer

    async def queue_is_empty() -> bool:
        return await world.sql("select from work_items") == []

    await eventually(queue_is_empty)
    world.model.gate = None
    assert (await world.ask("again", session=request.session_id)).status is RequestStatus.COMPLETED


async def test_an_ended_run_keeps_its_end(world: AgentWorld) -> None:
    request = world.request("Hello")
    first = await world.answer_to(request)
    view = view_of((await world.end(request)).content)
    assert view.status is RequestStatus.COMPLETED
    assert view.answer == first
    again = view_of((await world.end(request, RequestStatus.EXPIRED, "expired")).content)
    assert again == view


async def test_an_end_before_the_arrival_keeps_the_run_from_beginning(world: AgentWorld) -> None:
    request = world.request("Hello")
    view = view_of((await world.end(request)).content)
    assert view.status is RequestStatus.CANCELLED
    assert (await world.answer_to(request)).status is RequestStatus.CANCELLED
    assert world.model.seen == []
    assert world.sink.events == []


async def test_an_end_of_a_request_for_anothers_session_leaves_nothing_in_it(world: AgentWorld) -> None:
    session = new_id()
    await world.ask("Hello", session=session)
    stranger = world.request("My secret", session=session, person=BEN)
    view = view_of((await world.end(stranger)).content)
    assert view.status is RequestStatus.CANCELLED
    said = await world.sql("select content from session_messages where session_id = $1", session)
    assert {row["content"] for row in said} == {"Hello", "Hello from the model."}


async def test_the_end_of_a_request_that_arrives_late_by_event_is_told_once(world: AgentWorld) -> None:
    request = world.request("Hello")
    await world.end(request)
    for _ in range(2):
        await world.tell(request)

    async def told() -> bool:
        return bool(world.sink.of("response.ready"))

    await eventually(told)
    [event] = world.sink.of("response.ready")
    assert AgentResponse.model_validate(event.data).status is RequestStatus.CANCELLED


async def test_a_waiting_run_is_cancelled_and_told_by_event(world: AgentWorld) -> None:
    session = new_id()
    world.model.hold()
    first, second = (world.request(f"question {at}", session=session) for at in range(2))
    await world.tell(first)
    await world.until_model_was_asked()
    await world.tell(second)
    await world.end(second)

    async def told() -> bool:
        return bool(world.sink.of("response.ready"))

    await eventually(told)
    world.model.release()
    await world.until_state(first, "completed")
    assert await world.state(second) == "cancelled"
    assert len(world.model.seen) == 1


async def test_the_end_is_checked_before_each_tool_call(world: AgentWorld) -> None:
    """The end comes from outside this process, unheard: the next checkpoint finds it."""
    request = world.request("My laptop?")
    world.model.will(calls(("transfer_to_agent", {"agent": "laptop-refresh"})), calls(("find_my_laptops", {})))
    world.model.hold()
    task = asyncio.create_task(world.post(request))
    await world.until_model_was_asked()
    await world.sql(
        "update agent_runs set state = 'cancelled', ended_at = now(), answer = '{}' where request_id = $1",
        request.request_id,
    )
    world.model.release()
    await task
    assert world.tools.called == []


async def test_an_end_for_another_request_than_the_address_is_refused(world: AgentWorld) -> None:
    request, other = world.request("Hello"), world.request("Hello")
    body = (await world.end(request)).request.content.replace(
        str(request.request_id).encode(), str(other.request_id).encode()
    )
    headers = world.headers() | {"content-type": "application/json"}
    reply = await world.http.post(f"/api/v1/runs/{request.request_id}/end", content=body, headers=headers)
    assert reply.status_code == 422


async def test_closing_a_session_ends_what_waits_and_what_runs(world: AgentWorld) -> None:
    session = new_id()
    world.model.hold()
    requests = [world.request(f"question {at}", session=session) for at in range(3)]
    tasks = [asyncio.create_task(world.answer_to(requests[0]))]
    await world.until_model_was_asked()
    tasks += [asyncio.create_task(world.answer_to(request)) for request in requests[1:]]
    for request in requests[1:]:
        await world.until_state(request, "waiting")
    reply = await world.http.post(f"/api/v1/sessions/{session}/close", headers=world.headers())
    assert reply.json()["status"] == "closed"
    for answer in await asyncio.gather(*tasks):
        assert answer.error is not None
        assert (answer.status, answer.error.code) == (RequestStatus.FAILED, "session_closed")
    late = await world.ask("too late", session=session, named_session=False)
    assert late.error is not None
    assert late.error.code == "session_closed"
    assert len(world.model.seen) == 1


async def test_ends_that_race_leave_one_end_each_and_no_deadlock(database_url: str) -> None:
    """Finish, cancel, close and expire of one session at once, in random order, again and again."""
    async with agent_world(database_url, answer_wait_s=120) as world:
        seed = random.Random(7)
        for _ in range(25):
            await asyncio.gather(*(race(world, seed) for _ in range(8)))
        assert world.model.seen
        stuck = await world.sql("select from agent_runs where ended_at is null")
        assert stuck == []
        statistics = await world.sql("select deadlocks from pg_stat_database where datname = current_database()")
        assert statistics[0]["deadlocks"] == 0

        async def is_empty() -> bool:
            rows = await world.sql("select (select count(*) from work_items) + (select sum(pending) from lanes) as n")
            return bool(rows[0]["n"] == 0)

        await eventually(is_empty)


async def race(world: AgentWorld, seed: random.Random) -> None:
    session = new_id()
    person = Person(user_id=new_id(), email="somebody@example.org")
    requests = [world.request(f"question {at}", session=session, person=person) for at in range(4)]

    async def later(step: Awaitable[object]) -> None:
        for _ in range(seed.randrange(40)):
            await asyncio.sleep(0)
        await step

    async def told(request: NormalizedRequest) -> None:
        reply = await world.post(request)
        answer = AgentResponse.model_validate_json(reply.content)
        view = RunView.model_validate(await world.get(f"/api/v1/runs/{request.request_id}"))
        assert view.answer == answer

    steps: list[Awaitable[object]] = [told(request) for request in requests]
    steps += [world.end(request) for request in seed.sample(requests, 2)]
    steps += [world.end(seed.choice(requests), RequestStatus.EXPIRED, "expired")]
    steps.append(world.http.post(f"/api/v1/sessions/{session}/close", headers=world.headers()))
    seed.shuffle(steps)
    await asyncio.gather(*(later(step) for step in steps))


async def test_a_run_whose_row_was_given_up_is_ended_and_told(database_url: str) -> None:
    async with agent_world(database_url, sweep_every_s=0.05) as world:
        world.model.hold()
        request = world.request("Hello")
        task = asyncio.create_task(world.answer_to(request))
        await world.until_model_was_asked()
        await world.sql("update work_items set dead_at = now(), leased_by = null")
        answer = await task
        assert answer.error is not None
        assert (answer.status, answer.error.code) == (RequestStatus.FAILED, "internal_error")
        world.model.release()

        reply = await world.http.get("/api/v1/dead-letters", headers=world.headers())
        [letter] = reply.json()["items"]
        assert (letter["kind"], letter["request_id"]) == ("request", str(request.request_id))
