"""The wire format of demo-rules: whole and streamed replies, usage, errors, embeddings, readiness."""

import base64
import json
import struct
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_stack.demo_rules.app import MOST_BODY_BYTES, create_app
from local_stack.demo_rules.conversation import Call, Conversation, Reply
from local_stack.demo_rules.embeddings import DIMENSIONS, Encode, Encoder, Vector
from local_stack.demo_rules.openai_api import ChatRequest, chunks, complete, pieces, whole

from tests.support.talk import AGENTS
from tests.support.waiting import eventually

type Json = dict[str, Any]

NEW_LAPTOP = [{"role": "user", "content": "I need a new laptop"}]
HELLO = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


class Row:
    """A vector without numpy."""

    def __init__(self, numbers: list[float]) -> None:
        self.numbers = numbers

    def tolist(self) -> list[float]:
        return self.numbers

    def tobytes(self) -> bytes:
        return struct.pack(f"<{len(self.numbers)}f", *self.numbers)


def fake_encoder() -> Encode:
    def encode(texts: list[str]) -> list[Vector]:
        return [Row([float(len(text)), 0.5]) for text in texts]

    return encode


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Encoder(load=fake_encoder))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://model/v1") as client,
    ):
        yield client


def chat(messages: Any, **more: Any) -> Json:
    return {"model": "demo-rules", "messages": messages, **more}


async def events(http: httpx.AsyncClient, body: Json) -> list[Json]:
    reply = await http.post("/chat/completions", json=body | {"stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in reply.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


async def test_a_text_reply_has_the_shape_of_a_chat_completion(http: httpx.AsyncClient) -> None:
    body = (await http.post("/chat/completions", json=chat(HELLO))).json()
    assert body["object"] == "chat.completion"
    assert body["model"] == "demo-rules"
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"].startswith("Hello")
    usage = body["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_a_tool_call_has_an_id_of_its_own_and_json_arguments(http: httpx.AsyncClient) -> None:
    request = chat(NEW_LAPTOP, tools=AGENTS["routing-agent"])
    first, second = [(await http.post("/chat/completions", json=request)).json()["choices"][0] for _ in range(2)]
    assert first["finish_reason"] == "tool_calls"
    assert first["message"]["content"] is None
    (call,) = first["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["function"]["name"] == "transfer_to_agent"
    assert json.loads(call["function"]["arguments"]) == {"agent": "laptop-refresh"}
    assert call["id"] != second["message"]["tool_calls"][0]["id"]


async def test_a_streamed_text_is_the_whole_text_in_parts(http: httpx.AsyncClient) -> None:
    text = (await http.post("/chat/completions", json=chat(HELLO))).json()["choices"][0]["message"]["content"]
    parts = await events(http, chat(HELLO))
    deltas = [part["choices"][0]["delta"] for part in parts]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == text
    assert len(parts) > 4
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"
    assert all("usage" not in part for part in parts)


async def test_a_streamed_tool_call_is_the_whole_call_in_parts(http: httpx.AsyncClient) -> None:
    parts = await events(http, chat(NEW_LAPTOP, tools=AGENTS["routing-agent"], stream_options={"include_usage": True}))
    calls = [call for part in parts for choice in part["choices"] for call in choice["delta"].get("tool_calls", [])]
    assert calls[0]["function"]["name"] == "transfer_to_agent"
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"agent": "laptop-refresh"}
    assert parts[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert parts[-1]["choices"] == []
    assert parts[-1]["usage"]["completion_tokens"] > 0


WORDS = st.text(min_size=1, max_size=300)
CALLS = st.builds(Call, st.text(max_size=5), st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2))


@given(st.builds(Reply, WORDS, st.just(())) | st.builds(Reply, st.just(""), st.tuples(CALLS, CALLS)))
def test_every_streamed_reply_joins_to_the_whole(reply: Reply) -> None:
    request = ChatRequest("demo-rules", Conversation((), {}), 7, True, True, None, True)
    done = complete(request, reply)
    message = whole(done)["choices"][0]["message"]
    deltas = [part["choices"][0]["delta"] for part in chunks(done, with_usage=False)]
    assert "".join(delta.get("content") or "" for delta in deltas) == (message["content"] or "")
    joined: dict[int, str] = {}
    for delta in deltas:
        for call in delta.get("tool_calls", []):
            joined[call["index"]] = joined.get(call["index"], "") + call["function"]["arguments"]
    assert list(joined.values()) == [call["function"]["arguments"] for call in message.get("tool_calls", [])]
    assert done.usage["completion_tokens"] > 0


@given(st.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


async def test_a_reply_is_cut_at_the_token_limit(http: httpx.AsyncClient) -> None:
    body = (await http.post("/chat/completions", json=chat(HELLO, max_completion_tokens=3))).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 3


async def test_forbidden_tools_are_not_called(http: httpx.AsyncClient) -> None:
    request = chat(NEW_LAPTOP, tools=AGENTS["routing-agent"], tool_choice="none")
    assert "tool_calls" not in (await http.post("/chat/completions", json=request)).json()["choices"][0]["message"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 400, None),
        (b'"text"', 400, None),
        (b"\xff\xfe", 400, None),
        (b'{"model": "demo-rules"}', 400, "messages"),
        (b'{"model": "demo-rules", "messages": []}', 400, "messages"),
        (b'{"model": "demo-rules", "messages": ["x"]}', 400, "messages.0"),
        (b'{"model": "demo-rules", "messages": [{"content": "x"}]}', 400, "messages.0"),
        (b'{"messages": [{"role": "user"}]}', 400, "model"),
        (b'{"model": "gpt-9", "messages": [{"role": "user"}]}', 404, "model"),
        (b'{"model": "demo-rules", "messages": [{"role": "user"}], "tools": 1}', 400, "tools"),
        (b'{"model": "demo-rules", "messages": [{"role": "user"}], "n": 2}', 400, "n"),
        (b'{"model": "demo-rules", "messages": [{"role": "user"}], "stream": "yes"}', 400, "stream"),
        (b'{"model": "demo-rules", "messages": [{"role": "user"}], "max_tokens": 0}', 400, "max_tokens"),
    ],
)
async def test_a_malformed_request_is_refused_in_openais_words(
    http: httpx.AsyncClient, body: bytes, status: int, param: str | None
) -> None:
    reply = await http.post("/chat/completions", content=body)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"]


@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings"])
async def test_a_body_that_is_too_long_is_refused(http: httpx.AsyncClient, path: str) -> None:
    reply = await http.post(path, content=b" " * (MOST_BODY_BYTES + 1))
    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "too_large"


async def test_unknown_paths_and_methods_are_errors_of_the_same_shape(http: httpx.AsyncClient) -> None:
    assert (await http.get("/nothing")).json()["error"]["message"] == "Not Found"
    assert (await http.get("/chat/completions")).status_code == 405


async def test_both_models_are_listed(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/models")).json()
    assert [model["id"] for model in listed["data"]] == ["demo-rules", "use-multilingual-v3"]
    assert (await http.get("/models/demo-rules")).json()["object"] == "model"
    assert (await http.get("/models/other")).status_code == 404


async def test_it_is_ready_when_the_encoder_is_loaded() -> None:
    may_load = threading.Event()

    def slow() -> Encode:
        may_load.wait(10)
        return fake_encoder()

    app = create_app(Encoder(load=slow))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://model") as client,
    ):
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        may_load.set()

        async def is_ready() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await eventually(is_ready)


def embedding(texts: Any, **more: Any) -> Json:
    return {"model": "use-multilingual-v3", "input": texts, **more}


async def test_embeddings_come_as_numbers_or_as_base64(http: httpx.AsyncClient) -> None:
    texts = [f"text {'x' * n}" for n in range(70)]
    body = (await http.post("/embeddings", json=embedding(texts))).json()
    assert [one["index"] for one in body["data"]] == list(range(70))
    assert body["data"][3]["embedding"] == [8.0, 0.5]
    assert body["usage"]["prompt_tokens"] > 0
    packed = (await http.post("/embeddings", json=embedding("abc", encoding_format="base64"))).json()
    assert struct.unpack("<2f", base64.b64decode(packed["data"][0]["embedding"])) == (3.0, 0.5)


@pytest.mark.parametrize(
    "body",
    [
        embedding(""),
        embedding([]),
        embedding([1, 2]),
        embedding(["a", ""]),
        embedding(["a"] * 2049),
        embedding("a", dimensions=3),
        embedding("a", encoding_format="int8"),
        {"input": "a"},
    ],
)
async def test_embedding_requests_that_make_no_sense_are_refused(http: httpx.AsyncClient, body: Json) -> None:
    reply = await http.post("/embeddings", json=body)
    assert reply.status_code in (400, 404)
    assert reply.json()["error"]["message"]


def test_the_real_encoder_finds_the_sentence_that_means_the_same() -> None:
    encoder = Encoder()
    question, same, other = (
        vector.tolist() for vector in encoder(["My laptop is old", "I have an aged notebook", "The soup is hot"])
    )
    assert len(question) == DIMENSIONS
    assert sum(a * b for a, b in zip(question, same, strict=True)) > sum(
        a * b for a, b in zip(question, other, strict=True)
    )
    assert encoder.is_ready
