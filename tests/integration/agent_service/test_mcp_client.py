"""Tools over MCP against real servers: what comes back, who calls, how calls fail."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from agent_service.domain.ports import ToolResult
from agent_service.errors import ToolServerUnavailable, ToolTimeout
from agent_service.mcp_client import McpTools
from aiohttp import web
from shared_models.tokens import Identity

from tests.support.mcp_server import NAME, TinyServer
from tests.support.mcp_tools import ANA, TIMEOUT_S, call, tools_of
from tests.support.scripted_responses import broken_connection, scripted_responses
from tests.support.servicenow import MCP_URL, servicenow_world

BEN = Identity(UUID(int=2), "ben@example.org", "Ben", UUID(int=12), "", intent="confirmation-7")


async def test_a_result_is_its_structured_content(tools: McpTools) -> None:
    assert await call(tools, "find", {"what": "wörld"}) == ToolResult('{"found":"wörld"}')


async def test_texts_are_joined_and_other_content_is_named(tools: McpTools) -> None:
    assert await call(tools, "talk") == ToolResult("Hello\n[image left out]\nthere")


async def test_the_words_of_a_failed_tool_are_for_the_person(tools: McpTools) -> None:
    assert await call(tools, "fail") == ToolResult("The ticket system is closed for maintenance.", is_error=True)


async def test_arguments_that_the_tool_refuses_are_told(tools: McpTools) -> None:
    result = await call(tools, "find", {"what": ["a", "list"]})
    assert result.is_error


async def test_a_long_result_is_cut_with_a_note(tools: McpTools) -> None:
    result = await call(tools, "much")
    assert len(result.text) < 50_100
    assert result.text.endswith("[cut off: 50000 of 60000 characters]")


async def test_every_call_has_a_token_of_its_own(tools: McpTools, tiny: TinyServer) -> None:
    await asyncio.gather(*[call(tools, "find", {"what": str(n)}, who) for n in range(10) for who in (ANA, BEN)])
    seen = tiny.calls()
    assert len({one.token for one in seen}) == 20
    assert {one.identity.email for one in seen} == {"ana@example.org", "ben@example.org"}
    for one in seen:
        assert one.identity.tool == "find"
        expected = ANA if one.identity.email == ANA.email else BEN
        assert (one.identity.request_id, one.identity.user_id) == (expected.request_id, expected.user_id)
        assert one.identity.intent == expected.intent
        assert one.headers["x-request-id"] == str(expected.request_id)


async def test_the_list_is_asked_for_by_nobody_and_kept(tools: McpTools, tiny: TinyServer) -> None:
    specs = {spec.name: spec for spec in await tools.specs(NAME)}
    assert set(specs) == {"find", "fail", "talk", "much", "sleep"}
    assert specs["find"].is_read_only
    assert not specs["fail"].is_read_only
    assert specs["find"].description == "Find a thing."
    assert "what" in specs["find"].parameters["properties"]
    await tools.specs(NAME)
    listings = [one for one in tiny.seen if one.method == "tools/list"]
    assert [one.identity.tool for one in listings] == ["tools/list"]
    assert listings[0].identity.user_id == UUID(int=0)


async def test_after_warming_up_a_call_is_one_message_on_a_known_connection(tools: McpTools, tiny: TinyServer) -> None:
    await tools.warm()
    before = len(tiny.seen)
    for _ in range(5):
        await call(tools, "find")
    assert [one.method for one in tiny.seen[before:]] == ["tools/call"] * 5
    assert len({one.peer for one in tiny.seen}) == 1


async def test_a_tool_that_never_answers_ends_at_its_time_limit(tools: McpTools) -> None:
    await tools.specs(NAME)
    with pytest.raises(ToolTimeout):
        await tools.call(NAME, "sleep", {}, ANA, 0.2)
    assert not (await call(tools, "find")).is_error


async def test_unknown_names_are_refused(tools: McpTools) -> None:
    assert (await call(tools, "rm_rf")).is_error
    with pytest.raises(ToolServerUnavailable):
        await tools.specs("nowhere")


def result_of(method: str) -> dict[str, Any]:
    """A server that has a tool that reads and one that writes, by hand."""
    schema = {"type": "object", "properties": {}}
    tools = [
        {"name": "read", "inputSchema": schema, "annotations": {"readOnlyHint": True}},
        {"name": "write", "inputSchema": schema},
    ]
    results: dict[str, dict[str, Any]] = {
        "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {}},
        "tools/list": {"tools": tools},
        "tools/call": {"content": [{"type": "text", "text": "done"}]},
    }
    return {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **results[method]}


async def test_only_a_tool_that_reads_is_asked_again_when_its_connection_breaks(http: httpx.AsyncClient) -> None:
    asked: list[str] = []

    async def reply(request: web.Request) -> web.StreamResponse:
        message = orjson.loads(await request.read())
        if message["method"] == "tools/call":
            asked.append(message["params"]["name"])
            if asked != ["read", "read"]:
                return await broken_connection()(request)
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result_of(message["method"])})

    async with scripted_responses() as script:
        script.plays(reply)
        tools = tools_of(http, script.url)
        assert await call(tools, "read") == ToolResult("done")
        with pytest.raises(ToolServerUnavailable):
            await call(tools, "write")
    assert asked == ["read", "read", "write"]


async def test_the_real_servicenow_server_knows_who_asks(tmp_path: Path) -> None:
    async with (
        servicenow_world(tmp_path) as world,
        httpx.AsyncClient(transport=httpx.ASGITransport(app=world.app)) as http,
    ):
        tools = McpTools(http, {"servicenow": MCP_URL}, world.signer)
        await tools.warm()
        alice = Identity(uuid4(), "alice@example.com", "Alice", uuid4(), "find_my_laptops")
        result = await tools.call("servicenow", "find_my_laptops", {}, alice, TIMEOUT_S)
        assert not result.is_error, result.text
        assert orjson.loads(result.text)["employee"]["email"] == "alice@example.com"
        nobody = Identity(uuid4(), "nobody@example.com", "Nobody", uuid4(), "find_my_laptops")
        result = await tools.call("servicenow", "find_my_laptops", {}, nobody, TIMEOUT_S)
        assert result.is_error
        assert "alice" not in result.text
