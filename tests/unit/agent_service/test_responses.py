"""Reading what a model server says, in whatever shape it comes."""

from typing import Any

import orjson
import pytest
from agent_service.domain.ports import ModelCall, ToolCall
from agent_service.errors import (
    ModelAuthFailed,
    ModelContextOverflow,
    ModelError,
    ModelGarbage,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)
from agent_service.responses import error_text, first_language_model, read_reply, refusal, reply_of, request_body

from tests.support.scripted_responses import function_call, message, response

CALL = ModelCall(
    agent="routing-agent",
    model="llm/demo-rules",
    instructions="Be brief.",
    input=[{"type": "message", "role": "user", "content": "Hi"}],
)


def test_a_call_holds_all_that_the_model_needs_and_has_nothing_stored() -> None:
    tool = {"type": "function", "name": "find", "description": "", "parameters": {"type": "object", "properties": {}}}
    call = ModelCall(
        agent="routing-agent",
        model="llm/demo-rules",
        instructions="Be brief.",
        input=[{"type": "message", "role": "user", "content": "Hi"}],
        tools=[tool],
        sampling={"temperature": 0.1},
        max_output_tokens=100,
    )
    assert orjson.loads(request_body(call)) == {
        "model": "llm/demo-rules",
        "instructions": "Be brief.",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "tools": [tool],
        "store": False,
        "temperature": 0.1,
        "max_output_tokens": 100,
    }


def test_what_is_not_set_is_left_to_the_server() -> None:
    assert set(orjson.loads(request_body(CALL))) == {"model", "instructions", "input", "store"}


def test_text_and_usage_are_read() -> None:
    reply = read_reply(orjson.dumps(response(message(" Hello "), message("there. "))))
    assert (reply.text, reply.input_tokens, reply.output_tokens) == ("Hello there.", 11, 7)
    assert not reply.is_cut_off


def test_tool_calls_are_kept_as_the_model_wrote_them() -> None:
    output = [
        {"type": "reasoning", "summary": []},
        function_call("find", "not json"),
        function_call("go", {"a": 1}, "c2"),
    ]
    reply = reply_of(response(*output))
    assert reply.tool_calls == (ToolCall("call_1", "find", "not json"), ToolCall("c2", "go", '{"a":1}'))
    assert reply.text == ""


def test_a_reply_at_the_output_limit_is_marked() -> None:
    reply = reply_of(response(message("The first"), status="incomplete", incomplete_details={"reason": "length"}))
    assert reply.is_cut_off


def test_a_refusal_of_the_model_is_its_text() -> None:
    item = {"type": "message", "content": [{"type": "refusal", "refusal": "I will not."}]}
    assert reply_of(response(item)).text == "I will not."


def test_missing_usage_counts_as_nothing() -> None:
    for usage in (None, 7, {}, {"input_tokens": "many", "output_tokens": -3}):
        reply = reply_of(response(message("Hi"), usage=usage))
        assert (reply.input_tokens, reply.output_tokens) == (0, 0)


MALFORMED: list[Any] = [
    None,
    [],
    "text",
    {},
    {"output": None},
    {"output": {}},
    {"output": ["text"]},
    {"output": [{"type": "message"}]},
    {"output": [{"type": "message", "content": 7}]},
    {"output": [function_call("")]},
    {"output": [{"type": "function_call", "name": "find", "arguments": "{}"}]},
    {"output": [{"type": "function_call", "name": ["find"], "call_id": "c", "arguments": "{}"}]},
    {"output": [function_call("find", "{}", f"c{n}") for n in range(65)]},
    {"output": []},
    {"output": [message("  ")]},
    {"output": [message("")], "status": "incomplete"},
]


@pytest.mark.parametrize("body", MALFORMED)
def test_a_reply_of_another_shape_is_garbage(body: Any) -> None:
    with pytest.raises(ModelGarbage):
        read_reply(orjson.dumps(body))


@pytest.mark.parametrize("raw", [b"", b"<html>", b"{", b"\xff\xfe", b'{"output": [}', b"[" * 5000])
def test_a_reply_that_is_no_json_is_garbage(raw: bytes) -> None:
    with pytest.raises(ModelGarbage):
        read_reply(raw)


def test_a_reply_that_tells_an_error_raises_it() -> None:
    body = response(status="failed", error={"code": "server_error", "message": "Rate limit reached for requests"})
    with pytest.raises(ModelRateLimited):
        reply_of(body)
    with pytest.raises(ModelUnavailable):
        reply_of({"error": {"message": "The server had an error"}})


# What OGX 1.5.0 and llama-stack 0.7.3 answered when the model behind them refused: status 500 with these words.
SAID = [
    ("The conversation exceeds the model's context window and could not be reduced further.", ModelContextOverflow),
    ("This model's maximum context length is 8192 tokens. However, you requested 9000.", ModelContextOverflow),
    ("context_length_exceeded: too long", ModelContextOverflow),
    ("Rate limit reached for requests", ModelRateLimited),
    ("Error code: 429 - {'error': 'slow down'}", ModelRateLimited),
    ("You exceeded your current quota", ModelRateLimited),
    ("Incorrect API key provided: sk-x.", ModelAuthFailed),
    ("Forbidden", ModelAuthFailed),
    ("Error code: 401", ModelAuthFailed),
    ("The model `fake` does not exist", ModelAuthFailed),
    ("Model 'nope' not found. Use 'client.models.list()' to list available Models.", ModelAuthFailed),
    ("Request timed out.", ModelTimeout),
    ("The server had an error", ModelUnavailable),
    ("The engine is currently overloaded", ModelUnavailable),
    ("An unexpected error occurred while generating the response.", ModelUnavailable),
    ("", ModelUnavailable),
]


@pytest.mark.parametrize(("text", "kind"), SAID)
def test_only_the_words_of_a_500_tell_what_happened(text: str, kind: type[ModelError]) -> None:
    assert type(refusal(500, text)) is kind
    assert type(refusal(200, text)) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ModelGarbage),
        (401, ModelAuthFailed),
        (403, ModelAuthFailed),
        (404, ModelAuthFailed),
        (408, ModelUnavailable),
        (422, ModelGarbage),
        (429, ModelRateLimited),
        (502, ModelUnavailable),
        (503, ModelUnavailable),
    ],
)
def test_a_status_without_words_says_enough(status: int, kind: type[ModelError]) -> None:
    assert type(refusal(status, "")) is kind


def test_the_pause_that_is_asked_for_is_kept() -> None:
    assert refusal(429, "", retry_after_s=7).retry_after_s == 7


def test_a_long_refusal_is_cut_for_the_log() -> None:
    assert len(str(refusal(500, "x" * 100_000))) < 400


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"detail": "Words"}, "Words"),
        ({"error": {"message": "Words"}}, "Words"),
        ({"type": "error", "message": "Words", "code": "c"}, "c: Words"),
        ({"response": {"error": {"code": "c", "message": "Words"}}}, "c: Words"),
        ({"detail": {"error": {"message": "Words"}}}, "Words"),
        ([], ""),
        (None, ""),
        ({"detail": 7}, ""),
    ],
)
def test_error_words_are_found_in_every_shape(body: Any, text: str) -> None:
    assert error_text(body) == text


@pytest.mark.parametrize(
    "models",
    [
        [
            {"id": "st/small", "custom_metadata": {"model_type": "embedding"}},
            {"id": "vllm/big", "custom_metadata": {"model_type": "llm"}},
        ],
        [{"identifier": "st/small", "model_type": "embedding"}, {"identifier": "vllm/big", "model_type": "llm"}],
        [{"id": "vllm/big", "object": "model"}, {"id": "vllm/other", "object": "model"}],
        [None, {"id": 5}, {"id": "vllm/big", "custom_metadata": {}}],
    ],
)
def test_the_first_language_model_is_found_in_each_servers_list(models: list[Any]) -> None:
    assert first_language_model({"data": models}) == "vllm/big"


@pytest.mark.parametrize("reply", [{}, {"data": None}, {"data": [{"id": "e", "model_type": "embedding"}]}])
def test_without_a_language_model_the_setting_is_named(reply: dict[str, Any]) -> None:
    with pytest.raises(ModelUnavailable, match="LLAMA_STACK_MODEL is empty"):
        first_language_model(reply)
