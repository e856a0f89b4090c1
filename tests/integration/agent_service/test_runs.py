"""Runs from hand-over to end, in both ways of handing over."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared_models.enums import RequestStatus
from shared_models.ids import new_id
from shared_models.schemas import AgentResponse

from tests.support.agent_world import ANA, BEN, AgentWorld, agent_world
from tests.support.scripted_outside import says
from tests.support.waiting import eventually


async def test_a_question_is_answered_by_the_model(world: AgentWorld) -> None:
    world.model.will(says("You have one laptop."))
    answer = await world.ask("How many laptops do I have?")
    assert answer.status is RequestStatus.COMPLETED
    assert answer.response is not None
    assert answer.response.content == "You have one laptop."
    assert answer.response.agent.name == "routing-agent"
    assert answer.response.usage.model_calls == 1


async def test_a_request_handed_over_again_finds_its_saved_answer(world: AgentWorld) -> None:
    request = world.request("Hello")
    first, second = await world.post(request), await world.post(request)
    assert first.content
    assert AgentResponse.model_validate_json(first.content) == AgentResponse.model_validate_json(second.content)
    assert len(world.model.seen) == 1


async def test_fifty_hand_overs_of_one_request_make_one_run(world: AgentWorld) -> None:
    request = world.request("Hello")
    replies = await asyncio.gather(*(world.post(request) for _ in range(50)))
    assert {reply.status_code for reply in replies} == {200}
    assert len({AgentResponse.model_validate_json(reply.content).model_dump_json() for reply in replies}) == 1
    assert len(world.model.seen) == 1
    assert (await world.sql("select request_count from request_sessions"))[0]["request_count"] == 1


async def test_a_run_that_is_not_over_is_answered_202_and_asked_for_again(database_url: str) -> None:
    async with agent_world(database_url, answer_wait_s=0.05) as world:
        world.model.hold()
        request = world.request("Hello")
        early = await world.post(request)
        assert (early.status_code, early.content) == (202, b"")
        world.model.release()
        await world.until_state(request, "completed")
        assert (await world.answer_to(request)).status is RequestStatus.COMPLETED


async def test_the_session_of_another_person_is_not_found(world: AgentWorld) -> None:
    first = await world.ask("Hello")
    reply = await world.post(world.request("Hello", session=first.session_id, person=BEN))
    assert reply.status_code == 404
    assert len(world.model.seen) == 1


async def test_turns_of_one_session_run_one_after_the_other_in_their_order(world: AgentWorld) -> None:
    session = new_id()
    requests = [world.request(f"question {at}", session=session) for at in range(6)]
    world.model.hold()
    running = [asyncio.create_task(world.answer_to(requests[0]))]
    await world.until_model_was_asked()
    running += [asyncio.create_task(world.answer_to(request)) for request in requests[1:]]
    for request in requests:
        await world.until_state(request, "waiting", "processing")
    assert len(world.model.seen) == 1
    world.model.release()
    await asyncio.gather(*running)
    assert [call.input[-1]["content"] for call in world.model.seen] == [f"question {at}" for at in range(6)]


async def test_a_turn_that_arrives_before_its_predecessor_waits_its_turn(world: AgentWorld) -> None:
    session = new_id()
    world.model.hold()
    blocker, second, third = (world.request(f"question {at}", session=session) for at in range(3))
    tasks = [asyncio.create_task(world.answer_to(blocker))]
    await world.until_model_was_asked()
    for request in (third, second):
        tasks.append(asyncio.create_task(world.answer_to(request)))
        await world.until_state(request, "waiting")
    world.model.release()
    await asyncio.gather(*tasks)
    assert [call.input[-1]["content"] for call in world.model.seen] == ["question 0", "question 1", "question 2"]


async def test_sessions_do_not_wait_for_each_other(world: AgentWorld) -> None:
    world.model.hold()
    held = asyncio.create_task(world.ask("held"))
    await world.until_model_was_asked()
    gate, world.model.gate = world.model.gate, None
    assert (await world.ask("free", person=BEN)).status is RequestStatus.COMPLETED
    assert gate is not None
    gate.set()
    assert (await held).status is RequestStatus.COMPLETED


async def test_the_model_sees_the_conversation_so_far(world: AgentWorld) -> None:
    world.model.will(says("Hi Ana."), says("You said hello."))
    first = await world.ask("Hello")
    await world.ask("What did I say?", session=first.session_id)
    said = [(item["role"], item["content"]) for item in world.model.seen[-1].input]
    assert said == [("user", "Hello"), ("assistant", "Hi Ana."), ("user", "What did I say?")]
    assert "Ana Quist" in world.model.seen[-1].instructions


async def test_a_person_has_three_runs_at_work_and_others_are_not_held_up(world: AgentWorld) -> None:
    world.model.hold()
    many = [asyncio.create_task(world.ask(f"question {at}")) for at in range(8)]
    await world.until_model_was_asked(3)
    other = asyncio.create_task(world.ask("mine", person=BEN))
    await world.until_model_was_asked(4)
    states = await world.sql("select user_id, count(*) from agent_runs where state = 'processing' group by 1")
    assert {row["user_id"]: row["count"] for row in states} == {ANA.user_id: 3, BEN.user_id: 1}
    world.model.release()
    answers = await asyncio.gather(*many, other)
    assert {answer.status for answer in answers} == {RequestStatus.COMPLETED}
    dead = await world.sql("select count(*) from work_items")
    assert dead[0]["count"] == 0


async def test_an_overdue_request_expires_without_a_model_call(world: AgentWorld) -> None:
    now = datetime.now(UTC)
    answer = await world.ask("Hello", created_at=now - timedelta(days=2), deadline_at=now - timedelta(days=1))
    assert answer.status is RequestStatus.EXPIRED
    assert answer.error is not None
    assert answer.error.retryable
    assert world.model.seen == []


async def test_what_the_database_cannot_store_is_refused(world: AgentWorld) -> None:
    for request in (world.request("a\x00b"), world.request("a", metadata={"a": "\x00"})):
        assert (await world.post(request)).status_code == 422
        assert (await world.tell(request)).status_code == 400
    assert await world.sql("select from agent_runs") == []


async def test_a_body_that_is_no_request_is_refused(world: AgentWorld) -> None:
    headers = world.headers() | {"content-type": "application/json"}
    for body in (b"", b"{}", b"[]", b"\xff", b'{"content": 1}', b'{"a":' * 2000):
        reply = await world.http.post("/api/v1/answers", content=body, headers=headers)
        assert reply.status_code in (400, 422), body


async def test_fields_that_a_newer_request_manager_has_added_are_ignored(world: AgentWorld) -> None:
    headers = world.headers() | {"content-type": "application/json"}
    request = world.request("Hello")
    newer = json.loads(request.model_dump_json()) | {"added": 1}
    newer["person"]["added"] = 1
    reply = await world.http.post("/api/v1/answers", json=newer, headers=headers)
    assert (reply.status_code, reply.json()["status"]) == (200, "completed")
    error = {"code": "cancelled", "message": "Cancelled.", "added": 1}
    end = {"status": "cancelled", "error": error, "request": newer, "added": 1}
    reply = await world.http.post(f"/api/v1/runs/{request.request_id}/end", json=end, headers=headers)
    assert (reply.status_code, reply.json()["status"]) == (200, "completed")
    del newer["sequence"]
    reply = await world.http.post("/api/v1/answers", json=newer, headers=headers)
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (422, "body.sequence")


async def test_only_request_manager_may_call(world: AgentWorld) -> None:
    body = world.request("Hello").model_dump_json()
    for headers in ({}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic abc"}):
        assert (await world.http.post("/api/v1/answers", content=body, headers=headers)).status_code == 401
        assert (await world.http.post("/events", content=body, headers=headers)).status_code == 401


async def test_a_request_by_event_is_answered_by_event(world: AgentWorld) -> None:
    request = world.request("Hello")
    for _ in range(3):
        reply = await world.tell(request)
        assert (reply.status_code, reply.content) == (202, b"")

    async def told() -> bool:
        return bool(world.sink.of("response.ready"))

    await eventually(told)
    await world.until_state(request, "completed")
    [event] = world.sink.of("response.ready")
    answer = AgentResponse.model_validate(event.data)
    assert answer.request_id == request.request_id
    assert event.subject == f"request/{request.request_id}"
    assert event.extensions["partitionkey"] == str(request.session_id)


async def test_the_event_of_an_answer_is_sent_when_the_sink_is_back(world: AgentWorld) -> None:
    world.sink.is_away = True
    request = world.request("Hello")
    await world.tell(request)
    await world.until_state(request, "completed")
    world.sink.is_away = False

    async def told() -> bool:
        return bool(world.sink.of("response.ready"))

    await eventually(told)


async def test_answers_leave_in_the_order_of_their_session_when_the_sink_was_away(world: AgentWorld) -> None:
    world.sink.is_away = True
    sessions = [new_id() for _ in range(3)]
    requests = [world.request(f"turn {turn}", session=session) for turn in range(4) for session in sessions]
    for request in requests:
        await world.tell(request)
    for request in requests:
        await world.until_state(request, "completed")
    await world.sql("update work_items set attempts = 500")
    world.sink.is_away = False

    async def told() -> bool:
        await world.sql("update lanes set run_at = now() where leased_by is null")
        return len(world.sink.of("response.ready")) == len(requests)

    await eventually(told)
    for session in sessions:
        mine = [event for event in world.sink.events if event.extensions["partitionkey"] == str(session)]
        assert [event.extensions["sequence"] for event in mine] == ["1", "2", "3", "4"]
    assert await world.sql("select from work_items where dead_at is not null") == []


async def test_a_run_that_takes_longer_is_announced_once_before_its_end(database_url: str) -> None:
    async with agent_world(database_url, processing_after_s=0.05) as world:
        world.model.hold()
        request = world.request("Hello")
        task = asyncio.create_task(world.answer_to(request))

        async def told() -> bool:
            return bool(world.sink.of("request.processing"))

        await eventually(told)
        world.model.release()
        await task
        [event] = world.sink.of("request.processing")
        assert isinstance(event.data, dict)
        assert event.data["agent"] == {"name": "routing-agent", "version": "r1"}
        assert event.id == f"{request.request_id}:processing"


async def test_a_quick_run_is_not_announced(world: AgentWorld) -> None:
    await world.ask("Hello")
    assert world.sink.events == []


async def test_an_unknown_run_is_not_found(world: AgentWorld) -> None:
    reply = await world.http.get(f"/api/v1/runs/{UUID(int=7)}", headers=world.headers())
    assert reply.status_code == 404


async def test_a_run_can_be_read_before_and_after_its_end(world: AgentWorld) -> None:
    world.model.hold()
    request = world.request("Hello")
    task = asyncio.create_task(world.answer_to(request))
    await world.until_model_was_asked()
    assert (await world.get(f"/api/v1/runs/{request.request_id}"))["status"] == "processing"
    world.model.release()
    await task
    view = await world.get(f"/api/v1/runs/{request.request_id}")
    assert (view["status"], view["agent"]["name"]) == ("completed", "routing-agent")
    assert view["answer"]["response"]["content"] == "Hello from the model."


async def test_agents_and_knowledge_bases_are_listed(world: AgentWorld) -> None:
    agents = await world.get("/api/v1/agents")
    assert [agent["name"] for agent in agents["items"]] == ["routing-agent", "laptop-refresh"]
    assert [base["name"] for base in (await world.get("/api/v1/knowledge-bases"))["items"]] == ["it-help"]
