"""The model edge against a scripted server on a real socket: every way in which a call can end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from agent_service.domain.ports import ModelCall, ToolCall
from agent_service.errors import (
    ConversationLost,
    ModelAuthFailed,
    ModelContextOverflow,
    ModelError,
    ModelGarbage,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)
from agent_service.llama_stack import LlamaStack
from aiohttp import web
from shared_clients.http import create_http
from shared_models.telemetry import span
from structlog.testing import capture_logs

from tests.support.scripted_responses import (
    Json,
    Reply,
    ScriptedResponses,
    broken_connection,
    completed,
    delta,
    failed,
    function_call,
    json_reply,
    message,
    raw_reply,
    response,
    scripted_responses,
    silence,
    stream_reply,
)

CALL = ModelCall(
    agent="routing-agent",
    model="llm/fake",
    instructions="Be brief.",
    input=[{"type": "message", "role": "user", "content": "Hi"}],
    timeout_s=10,
)
SHORT = replace(CALL, timeout_s=0.2)


@pytest.fixture
async def script() -> AsyncIterator[ScriptedResponses]:
    async with scripted_responses() as server:
        yield server


@pytest.fixture
def model(http: httpx.AsyncClient, script: ScriptedResponses) -> LlamaStack:
    return LlamaStack(http, script.url, api_key="key-of-the-test", max_reply_bytes=100_000)


class Listener:
    """Somebody who reads along."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def __call__(self, text: str) -> None:
        self.heard.append(text)


async def test_a_reply_is_read_and_the_key_and_body_are_sent(model: LlamaStack, script: ScriptedResponses) -> None:
    script.plays(json_reply(response(message("Hello"), function_call("find", '{"a": 1}'))))
    reply = await model.respond(CALL)
    assert (reply.text, reply.tool_calls) == ("Hello", (ToolCall("call_1", "find", '{"a": 1}'),))
    assert (reply.input_tokens, reply.output_tokens) == (11, 7)
    [(path, headers, body)] = script.seen
    assert path == "/v1/responses"
    assert headers["authorization"] == "Bearer key-of-the-test"
    assert headers["content-type"] == "application/json"
    assert body["store"] is False
    assert body["instructions"] == "Be brief."


async def test_without_a_model_the_first_listed_one_is_asked_and_chosen_again_after_an_error(
    model: LlamaStack, script: ScriptedResponses
) -> None:
    call, hello = replace(CALL, model=""), json_reply(response(message("Hello")))
    gone = json_reply({"detail": "Model 'llm/old' not found"}, 404)
    script.plays(
        *(json_reply({"data": [{"id": "llm/old"}]}), hello, hello, gone),
        *(json_reply({"data": [{"id": "llm/new"}]}), hello),
    )
    await model.respond(call)
    await model.respond(call)
    with pytest.raises(ModelAuthFailed):
        await model.respond(call)
    await model.respond(call)
    asked = [body["model"] if body else path for path, _, body in script.seen]
    assert asked == ["/v1/models", "llm/old", "llm/old", "llm/old", "/v1/models", "llm/new"]


async def test_each_call_carries_its_own_trace_and_the_same_key(model: LlamaStack, script: ScriptedResponses) -> None:
    script.plays(json_reply(response(message("Hello"))))
    traces = [f"00-{number:032x}-b7ad6b7169203331-01" for number in (1, 2)]
    for trace in traces:
        with span("x", traceparent=trace):
            await model.respond(CALL)
    await model.respond(CALL)
    assert [headers.get("traceparent") for _, headers, _ in script.seen] == [*traces, None]
    assert {headers["authorization"] for _, headers, _ in script.seen} == {"Bearer key-of-the-test"}


async def test_an_address_that_ends_in_v1_is_the_same_server(
    http: httpx.AsyncClient, script: ScriptedResponses
) -> None:
    script.plays(json_reply(response(message("Hello"))))
    await LlamaStack(http, script.url + "/v1/").respond(CALL)
    assert script.seen[0][0] == "/v1/responses"


async def test_calls_share_their_connections(model: LlamaStack, script: ScriptedResponses) -> None:
    peers = set()

    async def reply(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await json_reply(response(message("Hello")))(request)

    script.plays(reply)
    for _ in range(5):
        await model.respond(CALL)
    assert len(peers) == 1


ENDINGS: list[tuple[str, Reply, type[ModelError]]] = [
    ("upstream 400", json_reply({"detail": "Invalid value for temperature"}, 500), ModelUnavailable),
    ("upstream 401", json_reply({"detail": "Incorrect API key provided: sk-x."}, 500), ModelAuthFailed),
    ("upstream 404", json_reply({"detail": "The model `fake` does not exist"}, 500), ModelAuthFailed),
    ("upstream 429", json_reply({"detail": "Rate limit reached for requests"}, 500), ModelRateLimited),
    ("upstream 500", json_reply({"detail": "The server had an error"}, 500), ModelUnavailable),
    ("upstream 503", json_reply({"detail": "The engine is currently overloaded"}, 500), ModelUnavailable),
    ("overflow", json_reply({"detail": "This model's maximum context length is 8192"}, 500), ModelContextOverflow),
    ("own key refused", json_reply({"detail": "no"}, 401), ModelAuthFailed),
    ("own limit", json_reply({"detail": "slow down"}, 429, retry_after="7"), ModelRateLimited),
    ("no such model", json_reply({"detail": "Model 'x' not found"}, 404), ModelAuthFailed),
    ("another server", raw_reply(b"<h1>Not Found</h1>", 404), ModelAuthFailed),
    ("our body refused", json_reply({"error": {"message": "{'errors': []}"}}, 400), ModelGarbage),
    ("gateway", raw_reply(b"<html>Bad Gateway</html>", 502), ModelUnavailable),
    ("MCP server away", json_reply({"detail": "Failed to connect to MCP server"}, 502), ModelUnavailable),
    ("no JSON", raw_reply(b"<html>Sign in to the hotel network</html>"), ModelGarbage),
    ("wrong shape", json_reply({"choices": []}), ModelGarbage),
    ("empty", raw_reply(b""), ModelGarbage),
    ("says nothing", json_reply(response(message(""))), ModelGarbage),
    ("huge", json_reply(response(message("x" * 200_000))), ModelGarbage),
    ("redirect", raw_reply(b"", 307, location="http://127.0.0.1:1/"), ModelError),
    ("connection breaks", broken_connection(), ModelUnavailable),
    ("failed inside", json_reply(response(status="failed", error={"message": "Rate limit"})), ModelRateLimited),
]


@pytest.mark.parametrize(("reply", "kind"), [row[1:] for row in ENDINGS], ids=[row[0] for row in ENDINGS])
async def test_a_call_that_fails_says_how(
    model: LlamaStack, script: ScriptedResponses, reply: Reply, kind: type[ModelError]
) -> None:
    script.plays(reply)
    with pytest.raises(kind):
        await model.respond(CALL)
    assert len(script.seen) == 1, "nothing is repeated behind our back"


@pytest.mark.parametrize(("asked", "seconds"), [("7", 7.0), ("999999999", 3600.0), ("²", None)])
async def test_the_pause_that_the_server_asks_for_is_passed_on(
    model: LlamaStack, script: ScriptedResponses, asked: str, seconds: float | None
) -> None:
    script.plays(json_reply({"detail": "slow down"}, 429, retry_after=asked))
    with pytest.raises(ModelRateLimited) as caught:
        await model.respond(CALL)
    assert caught.value.retry_after_s == seconds


async def test_silence_ends_at_the_time_limit_of_the_call(model: LlamaStack, script: ScriptedResponses) -> None:
    script.plays(silence())
    with pytest.raises(ModelTimeout):
        await model.respond(SHORT)


async def test_dripping_bytes_do_not_stretch_the_time_limit(model: LlamaStack, script: ScriptedResponses) -> None:
    script.plays(stream_reply(*[delta("x")] * 3, {"type": "response.in_progress"}), silence())

    async def never_ready(_text: str) -> None:
        await asyncio.Event().wait()

    with pytest.raises(ModelTimeout):
        await model.respond(replace(SHORT, on_delta=never_ready))


async def test_nobody_at_the_address_is_told_at_once(http: httpx.AsyncClient) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = LlamaStack(http, f"http://127.0.0.1:{closed.getsockname()[1]}")
        with capture_logs() as logged, pytest.raises(ModelUnavailable):
            await nobody.respond(CALL)
        assert [each["event"] for each in logged] == ["model_not_reached"]
        assert "Cannot connect" in logged[0]["cause"]
        with pytest.raises(ModelUnavailable):
            await nobody.warm()
        with pytest.raises(ModelUnavailable):
            await nobody.check()


@pytest.mark.parametrize(("idle_s", "connections"), [(60.0, 1), (0.0, 2)])
async def test_a_connection_that_the_server_may_have_closed_is_not_used_again(
    script: ScriptedResponses, idle_s: float, connections: int
) -> None:
    peers: set[object] = set()

    async def reply(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await json_reply(response(message("Hello")))(request)

    script.plays(reply, reply)
    async with create_http(idle_s=idle_s) as http:
        model = LlamaStack(http, script.url)
        for _ in range(2):
            await model.respond(CALL)
    assert len(peers) == connections


async def test_a_streamed_reply_is_heard_piece_by_piece(model: LlamaStack, script: ScriptedResponses) -> None:
    created: Json = {"type": "response.created", "response": response(status="in_progress")}
    script.plays(stream_reply(created, delta("Hello "), delta("wörld"), completed(message("Hello wörld"))))
    listener = Listener()
    reply = await model.respond(replace(CALL, on_delta=listener))
    assert listener.heard == ["Hello ", "wörld"]
    assert (reply.text, reply.output_tokens) == ("Hello wörld", 7)
    assert script.seen[0][2]["stream"] is True


async def test_a_streamed_tool_call_comes_from_the_last_event(model: LlamaStack, script: ScriptedResponses) -> None:
    piece: Json = {"type": "response.function_call_arguments.delta", "delta": '{"a'}
    script.plays(stream_reply(piece, completed(function_call("find", '{"a": 1}'))))
    reply = await model.respond(replace(CALL, on_delta=Listener()))
    assert reply.tool_calls == (ToolCall("call_1", "find", '{"a": 1}'),)


async def test_a_stream_at_the_output_limit_is_marked(model: LlamaStack, script: ScriptedResponses) -> None:
    end = {"type": "response.incomplete", "response": response(message("The"), status="incomplete")}
    script.plays(stream_reply(delta("The"), end))
    reply = await model.respond(replace(CALL, on_delta=Listener()))
    assert reply.is_cut_off


STREAM_ENDINGS: list[tuple[str, Reply, type[ModelError]]] = [
    ("failed half-way", stream_reply(delta("Hel"), failed("Rate limit reached for requests")), ModelRateLimited),
    ("overflow", stream_reply(failed("too long", "context_length_exceeded")), ModelContextOverflow),
    ("wrong key", stream_reply(failed("Incorrect API key provided: sk-x.")), ModelAuthFailed),
    ("error event", stream_reply({"type": "error", "message": "Failed to connect to MCP server"}), ModelUnavailable),
    ("ends too early", stream_reply(delta("Hel")), ModelUnavailable),
    ("cut", stream_reply(delta("Hel"), is_cut=True), ModelUnavailable),
    ("empty", stream_reply(), ModelUnavailable),
    ("no stream", json_reply({"detail": "Rate limit reached"}, 500), ModelRateLimited),
    ("no JSON", raw_reply(b"data: <html>\n\n", content_type="text/event-stream"), ModelGarbage),
    ("no end in sight", stream_reply(*[delta("x" * 1000)] * 200), ModelGarbage),
    ("one endless event", raw_reply(b"data: " + b"x" * 6_000_000), ModelError),
    ("end without reply", stream_reply({"type": "response.completed"}), ModelGarbage),
]


@pytest.mark.parametrize(("reply", "kind"), [row[1:] for row in STREAM_ENDINGS], ids=[row[0] for row in STREAM_ENDINGS])
async def test_a_stream_that_fails_says_how(
    model: LlamaStack, script: ScriptedResponses, reply: Reply, kind: type[ModelError]
) -> None:
    script.plays(reply)
    with pytest.raises(kind):
        await model.respond(replace(CALL, on_delta=Listener()))
    assert len(script.seen) == 1


async def test_warming_up_asks_no_model(model: LlamaStack, script: ScriptedResponses) -> None:
    script.plays(json_reply({"error": {"message": "field required"}}, 400))
    await model.warm()
    assert script.seen[0][2] == {}


async def test_the_health_of_the_server_is_asked(model: LlamaStack, script: ScriptedResponses) -> None:
    script.plays(json_reply({"status": "OK"}), json_reply({"status": "no"}, 503))
    await model.check()
    with pytest.raises(ModelUnavailable):
        await model.check()
    assert script.seen[0][0] == "/v1/health"


def user(text: str) -> Json:
    return {"type": "message", "role": "user", "content": text}


async def test_a_conversation_is_made_with_all_messages_at_once(model: LlamaStack, script: ScriptedResponses) -> None:
    script.plays(json_reply({"id": "conv_1", "object": "conversation"}))
    assert await model.create([user(str(n)) for n in range(30)]) == "conv_1"
    path, _, body = script.seen[0]
    assert (path, len(body["items"])) == ("/v1/conversations", 30)


async def test_messages_are_added_twenty_at_a_time(model: LlamaStack, script: ScriptedResponses) -> None:
    script.plays(json_reply({"object": "list", "data": []}))
    await model.append("conv_1", [user(str(n)) for n in range(45)])
    assert [len(body["items"]) for _, _, body in script.seen] == [20, 20, 5]
    assert {path for path, _, _ in script.seen} == {"/v1/conversations/conv_1/items"}


@pytest.mark.parametrize("status", [400, 404])
async def test_a_lost_conversation_is_told(model: LlamaStack, script: ScriptedResponses, status: int) -> None:
    script.plays(json_reply({"detail": "Conversation 'conv_1' not found."}, status))
    with pytest.raises(ConversationLost):
        await model.append("conv_1", [user("Hi")])


async def test_a_conversation_on_a_broken_server_is_not_lost(model: LlamaStack, script: ScriptedResponses) -> None:
    script.plays(json_reply({"detail": "database is locked"}, 500))
    with pytest.raises(ModelUnavailable):
        await model.append("conv_1", [user("Hi")])
    script.plays(json_reply({"object": "conversation"}))
    with pytest.raises(ModelGarbage):
        await model.create([])
