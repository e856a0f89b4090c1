"""The agents on the real model servers, OGX 1.5 and llama-stack 0.7, in front of demo-rules, with and without a copy of
each conversation kept there."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from agent_service.domain.ports import ModelCall
from agent_service.errors import ConversationLost, ModelAuthFailed, ModelGarbage
from agent_service.llama_stack import LlamaStack
from agent_service.settings import ServerSessions
from local_stack.demo_rules.embeddings import Encoder
from local_stack.model_server import Kind, Upstream, running
from local_stack.ports import free_port
from local_stack.programs import Child, Program, wait_until_ready
from local_stack.settings import inherited_environment
from shared_clients.http import create_http
from shared_models.schemas import RequestResult

from tests.support.database import superuser
from tests.support.encoding import encoder
from tests.support.running_system import running_system
from tests.support.system import System
from tests.support.talks import start_refresh, to_ticket

__all__ = ["encoder"]

MODEL = "llm/demo-rules"
STRANGE_ID = "conv_" + "a" * 48
TOOL = {
    "type": "function",
    "name": "find_my_laptops",
    "description": "Look up the person's laptops.",
    "parameters": {"type": "object", "properties": {}},
}
HELLO = ModelCall(
    agent="routing-agent",
    model=MODEL,
    instructions="You are the first contact of the IT self-service.",
    input=[{"type": "message", "role": "user", "content": "Hello"}],
    sampling={"temperature": 0.1},
    max_output_tokens=500,
)
NEW_LAPTOP = replace(HELLO, input=[{"type": "message", "role": "user", "content": "I need a new laptop"}], tools=[TOOL])


@dataclass(frozen=True)
class RealServer:
    """A model server, and demo-rules behind it."""

    url: str
    model_url: str


@pytest.fixture(scope="module")
def demo_rules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a demo-rules process; ends in /v1."""
    port = free_port()
    command = [sys.executable, "-m", "local_stack.demo_rules", "--port", str(port)]
    child = Child(
        Program("demo-rules", command, inherited_environment(), port), tmp_path_factory.mktemp("demo-rules") / "log"
    )
    try:
        wait_until_ready([child], timeout_s=300)
        yield f"{child.url}/v1"
    finally:
        child.stop()


@pytest.fixture(scope="module", params=list(Kind))
def server(
    request: pytest.FixtureRequest, demo_rules: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealServer]:
    """Started as the product starts it."""
    with running(request.param, Upstream(demo_rules, "demo-rules"), tmp_path_factory.mktemp("server")) as started:
        yield RealServer(started.url, demo_rules)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    client = create_http()
    yield client
    await client.aclose()


@pytest.fixture
async def model(server: RealServer, http: httpx.AsyncClient) -> LlamaStack:
    stack = LlamaStack(http, server.url)
    await stack.check()
    await stack.warm()
    return stack


@pytest.fixture(params=list(ServerSessions))
async def sessions(request: pytest.FixtureRequest) -> ServerSessions:
    setting: ServerSessions = request.param
    return setting


@pytest.fixture
async def system(
    server: RealServer, sessions: ServerSessions, database_url: str, encoder: Encoder, tmp_path: Path
) -> AsyncIterator[System]:
    async with running_system(
        database_url, encoder, tmp_path, llama_stack_url=server.url, llama_stack_sessions=sessions
    ) as system:
        yield system


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []

    async def __call__(self, text: str) -> None:
        self.heard.append(text)


@pytest.mark.parametrize("server", [Kind.OGX], indirect=True)
async def test_ogx_keeps_no_copy_of_what_people_say(
    server: RealServer, model: LlamaStack, http: httpx.AsyncClient
) -> None:
    await model.respond(HELLO)
    kept = await http.get(f"{server.url}/v1/chat/completions")
    assert kept.status_code == 501, kept.text


async def test_a_text_comes_whole_or_piece_by_piece(model: LlamaStack) -> None:
    whole = await model.respond(HELLO)
    assert whole.text
    assert whole.input_tokens > 0
    assert whole.output_tokens > 0
    assert not whole.tool_calls
    listener = Listener()
    streamed = await model.respond(replace(HELLO, on_delta=listener))
    assert streamed.text == whole.text
    assert "".join(listener.heard).strip() == whole.text
    assert len(listener.heard) > 1
    assert (streamed.input_tokens, streamed.output_tokens) == (whole.input_tokens, whole.output_tokens)


async def test_a_tool_call_comes_and_its_output_is_understood(model: LlamaStack) -> None:
    for call in (NEW_LAPTOP, replace(NEW_LAPTOP, on_delta=Listener())):
        asked = await model.respond(call)
        assert [tool.name for tool in asked.tool_calls] == ["find_my_laptops"]
        [tool] = asked.tool_calls
        answered = replace(
            call,
            input=[
                *call.input,
                {"type": "function_call", "call_id": "c1", "name": tool.name, "arguments": tool.arguments_json},
                {"type": "function_call_output", "call_id": "c1", "output": "Error: ServiceNow is closed today."},
            ],
        )
        told = await model.respond(answered)
        assert "ServiceNow is closed today" in told.text


async def test_what_the_server_does_not_know_is_told(model: LlamaStack) -> None:
    with pytest.raises(ModelAuthFailed):
        await model.respond(replace(HELLO, model="nobody/knows-it"))
    with pytest.raises(ModelGarbage):
        await model.respond(replace(HELLO, input=[{"type": "no such item"}]))


async def test_a_conversation_can_be_kept_there_and_its_loss_is_told(
    model: LlamaStack, server: RealServer, http: httpx.AsyncClient
) -> None:
    messages = [{"type": "message", "role": "user", "content": f"message {n}"} for n in range(25)]
    conversation_id = await model.create(messages)
    await model.append(conversation_id, messages)
    assert len(await items_of(http, server, conversation_id)) == 50
    for lost in (STRANGE_ID, "no-id-at-all"):
        with pytest.raises(ConversationLost):
            await model.append(lost, messages[:1])


async def items_of(http: httpx.AsyncClient, server: RealServer, conversation_id: str) -> list[tuple[str, str]]:
    """Role and text of every message of the server's copy."""
    params = {"order": "asc", "limit": "100"}
    reply = await http.get(f"{server.url}/v1/conversations/{conversation_id}/items", params=params)
    assert reply.status_code == 200, reply.text
    items: list[dict[str, Any]] = reply.json()["data"]
    return [(item["role"], item["content"]) for item in items]


async def session_row(system: System) -> asyncpg.Record:
    async with superuser(system.database_url) as connection:
        row = await connection.fetchrow("select session_id, llama_stack_conversation_id from request_sessions")
    assert row is not None
    return row


async def messages_of(system: System) -> list[tuple[str, str]]:
    async with superuser(system.database_url) as connection:
        rows = await connection.fetch("select role, content from session_messages")
    return [(row["role"], row["content"]) for row in rows]


async def test_a_person_gets_from_the_first_question_to_one_ticket(
    system: System, server: RealServer, sessions: ServerSessions, http: httpx.AsyncClient
) -> None:
    ticket = await to_ticket(system, "alice")
    assert [item.number for item in system.tickets_of("alice")] == [ticket.number]
    conversation_id = (await session_row(system))["llama_stack_conversation_id"]
    if sessions is ServerSessions.NONE:
        assert conversation_id is None
        return
    said = await messages_of(system)
    assert len(said) == 8
    # llama-stack sorts by whole seconds, so the order within one second is its own.
    assert sorted(await items_of(http, server, conversation_id)) == sorted(said)


async def test_an_answer_that_is_streamed_comes_to_the_same_end(system: System) -> None:
    whole = await system.ask("alice", "Hello")
    body = {"content": "Hello", "stream": True}
    reply = await system.post("alice", body, headers={"prefer": "respond-async"})
    request_id = reply.json()["request_id"]
    events = await system.read_events("alice", f"/api/v1/requests/{request_id}/events", until="answer")
    answer = RequestResult.model_validate_json(events[-1].data)
    assert answer.response is not None
    assert answer.response.content == whole.content
    assert answer.response.usage.output_tokens > 0
    # Whoever comes before the end sees the text grow; a fast model may be done before.
    grown = "".join(orjson.loads(event.data)["text"] for event in events if event.event == "delta")
    assert grown.strip() in ("", whole.content)


async def test_a_tool_that_fails_and_a_document_that_helps_go_through(system: System) -> None:
    answer = await system.ask("alice", "How do I connect to the VPN?")
    assert answer.citations
    await system.stop_tool_server()
    failed = await system.ask("noah", "I need a new laptop", expect="failed")
    assert not re.search(r"\d{4}-\d{2}-\d{2}", failed.error_message)


async def test_a_lost_copy_is_made_again_from_our_rows(
    system: System, server: RealServer, sessions: ServerSessions, http: httpx.AsyncClient
) -> None:
    if sessions is ServerSessions.NONE:
        assert (await start_refresh(system, "alice")).content
        return
    start = await start_refresh(system, "alice")
    first = (await session_row(system))["llama_stack_conversation_id"]
    gone = await http.delete(f"{server.url}/v1/conversations/{first}")
    assert gone.status_code == 200, gone.text
    await system.ask("alice", "yes", session=start.session)
    second = (await session_row(system))["llama_stack_conversation_id"]
    assert second not in (None, first)
    assert sorted(await items_of(http, server, second)) == sorted(await messages_of(system))
