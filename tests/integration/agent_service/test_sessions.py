"""Sessions over HTTP, by request-manager for itself or on behalf of a person."""

from typing import Any
from uuid import UUID

import pytest
from agent_service.errors import ModelUnavailable
from shared_models.enums import ServiceName
from shared_models.schemas import Person
from shared_models.tokens import Acting

from tests.support.agent_world import ANA, BEN, AgentWorld, agent_world
from tests.support.scripted_outside import ServerCopies, calls, says


def acting(world: AgentWorld, person: Person) -> dict[str, str]:
    token = world.tokens.make(ServiceName.AGENT_SERVICE, Acting(person.user_id, person.email))
    return {"authorization": f"Bearer {token}"}


async def test_a_session_tells_what_is_known_of_it(world: AgentWorld) -> None:
    answer = await world.ask("I need\n a new   laptop", metadata={"client": "web"})
    view = await world.get(f"/api/v1/sessions/{answer.session_id}")
    assert view["title"] == "I need a new laptop"
    assert (view["status"], view["request_count"], view["agent"]) == ("active", 1, "routing-agent")
    assert view["usage"] == {"model_calls": 1, "input_tokens": 10, "output_tokens": 5}
    assert view["integration_metadata"] == {"client": "web"}
    assert view["user_id"] == str(ANA.user_id)


async def test_sessions_of_a_person_are_paged_newest_first(world: AgentWorld) -> None:
    made = [(await world.ask(f"question {at}")).session_id for at in range(5)]
    await world.ask("not mine", person=BEN)
    found: list[str] = []
    cursor = ""
    for _ in range(3):
        page = await world.get(f"/api/v1/sessions?user_id={ANA.user_id}&limit=2&cursor={cursor}")
        found += [item["session_id"] for item in page["items"]]
        cursor = page["next_cursor"] or ""
    assert found == [str(session) for session in reversed(made)]
    assert cursor == ""


async def test_messages_are_paged_in_their_order_without_tool_outputs(world: AgentWorld) -> None:
    session = None
    for at in range(3):
        world.model.will(calls(("search_knowledge", {"query": "secret"})), says(f"answer {at}"))
        session = (await world.ask(f"question {at}", session=session)).session_id
    found: list[tuple[str, str]] = []
    cursor = ""
    for _ in range(2):
        page = await world.get(f"/api/v1/sessions/{session}/messages?limit=4&cursor={cursor}")
        found += [(item["role"], item["content"]) for item in page["items"]]
        cursor = page["next_cursor"] or ""
    expected = [
        (role, f"{word} {at}") for at in range(3) for role, word in (("user", "question"), ("assistant", "answer"))
    ]
    assert found == expected


@pytest.mark.parametrize("cursor", ["x", "0", "eDp5Ono", "9" * 100])
async def test_a_cursor_that_was_never_handed_out_is_refused(world: AgentWorld, cursor: str) -> None:
    session = (await world.ask("Hello")).session_id
    for path in (f"/api/v1/sessions/{session}/messages", "/api/v1/sessions"):
        params = {"cursor": cursor, "user_id": str(ANA.user_id)}
        reply = await world.http.get(path, params=params, headers=world.headers())
        assert reply.status_code == 422


async def test_a_session_can_be_renamed_and_given_facts_for_its_agents(world: AgentWorld) -> None:
    session = (await world.ask("Hello")).session_id
    change = {"title": "My laptop", "user_context": {"office": "Lisbon"}}
    reply = await world.http.patch(f"/api/v1/sessions/{session}", json=change, headers=world.headers())
    assert (reply.json()["title"], reply.json()["user_context"]) == ("My laptop", {"office": "Lisbon"})
    await world.ask("And now?", session=session)
    assert "Lisbon" in world.model.seen[-1].instructions
    for bad in ({"title": ""}, {"name": "x"}, {"title": "a\x00"}):
        reply = await world.http.patch(f"/api/v1/sessions/{session}", json=bad, headers=world.headers())
        assert reply.status_code == 422


async def test_another_persons_things_are_not_there(world: AgentWorld) -> None:
    answer = await world.ask("Hello")
    session, run = f"/api/v1/sessions/{answer.session_id}", f"/api/v1/runs/{answer.request_id}"
    headers = acting(world, BEN)
    for path in (session, f"{session}/messages", run, f"{run}/events", f"/api/v1/sessions?user_id={ANA.user_id}"):
        assert (await world.http.get(path, headers=headers)).status_code == 404, path
    assert (await world.http.patch(session, json={"title": "x"}, headers=headers)).status_code == 404
    assert (await world.http.post(f"{session}/close", headers=headers)).status_code == 404
    for path in (session, f"{session}/messages", run):
        assert (await world.http.get(path, headers=acting(world, ANA))).status_code == 200


async def test_what_is_unknown_is_not_there(world: AgentWorld) -> None:
    session = f"/api/v1/sessions/{UUID(int=9)}"
    for path in (session, f"{session}/messages"):
        assert (await world.http.get(path, headers=world.headers())).status_code == 404
    assert (await world.http.post(f"{session}/close", headers=world.headers())).status_code == 404


async def test_a_session_nobody_used_for_long_is_shown_as_expired(world: AgentWorld) -> None:
    session = (await world.ask("Hello")).session_id
    await world.sql("update request_sessions set expires_at = now()")
    assert (await world.get(f"/api/v1/sessions/{session}"))["status"] == "expired"


def said(items: list[dict[str, Any]]) -> list[str]:
    return [item["content"] for item in items]


async def test_the_model_server_keeps_a_copy_of_each_conversation(database_url: str) -> None:
    world = AgentWorld(database_url, copies=ServerCopies())
    assert world.copies is not None
    async with agent_world(database_url, world):
        session = (await world.ask("one")).session_id
        world.model.will(says("second"))
        await world.ask("two", session=session)
        view = await world.get(f"/api/v1/sessions/{session}")
        kept = world.copies.held[view["llama_stack_conversation_id"]]
        assert said(kept) == ["one", "Hello from the model.", "two", "second"]
        world.copies.held.clear()
        await world.ask("three", session=session)
        again = await world.get(f"/api/v1/sessions/{session}")
        kept = world.copies.held[again["llama_stack_conversation_id"]]
        assert said(kept)[::2] == ["one", "two", "three"]


async def test_a_model_server_that_cannot_keep_copies_harms_no_answer(database_url: str) -> None:
    world = AgentWorld(database_url, copies=ServerCopies(failure=ModelUnavailable()))
    assert world.copies is not None
    async with agent_world(database_url, world):
        session = (await world.ask("one")).session_id
        world.copies.failure = None
        await world.ask("two", session=session)
        [kept] = world.copies.held.values()
        assert said(kept)[::2] == ["one", "two"]
