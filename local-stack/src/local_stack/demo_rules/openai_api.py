"""The wire format of OpenAI's chat completions: requests read, replies written whole or as a stream, errors.

Source: https://platform.openai.com/docs/api-reference/chat"""

import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from local_stack.demo_rules.conversation import Call, Conversation, Reply, read_conversation, text_of

type Json = dict[str, Any]

CHAT_MODEL = "demo-rules"
EMBEDDING_MODEL = "use-multilingual-v3"
_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4
_DELTA_CHARACTERS = 24  # about what a real model sends at a time, without an event for every word
_TOKEN_LIMITS = ("max_completion_tokens", "max_tokens")


class BadRequest(Exception):
    """The caller's fault; `status`, `code` and `param` go into the error body."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status

    @property
    def body(self) -> Json:
        return error_body(self.message, self.param, self.code)


def error_body(
    message: str, param: str | None = None, code: str | None = None, kind: str = "invalid_request_error"
) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True)
class ChatRequest:
    model: str
    talk: Conversation
    prompt_tokens: int
    is_stream: bool
    with_usage: bool
    most_tokens: int | None
    may_call: bool


@dataclass(frozen=True)
class Completion:
    """A reply with what the wire needs besides."""

    id: str
    created: int
    model: str
    reply: Reply
    finish_reason: str
    usage: dict[str, int]


def read_object(raw: bytes) -> Json:
    """Raises BadRequest."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise BadRequest("The body is not valid JSON.") from exc
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def read_chat_request(body: Json) -> ChatRequest:
    """Raises BadRequest."""
    messages, tools = body.get("messages"), body.get("tools") or []
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a list with at least one message.", "messages")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest("Each message must be an object with a role.", f"messages.{place}")
    if not isinstance(tools, list):
        raise BadRequest("'tools' must be a list.", "tools")
    if body.get("n") not in (None, 1):
        raise BadRequest("Only one choice is made: 'n' must be 1.", "n")
    options = body.get("stream_options")
    return ChatRequest(
        model=_model(body, CHAT_MODEL),
        talk=read_conversation(messages, tools),
        prompt_tokens=_prompt_tokens(messages, tools),
        is_stream=_flag(body, "stream"),
        with_usage=isinstance(options, dict) and options.get("include_usage") is True,
        most_tokens=_most_tokens(body),
        may_call=body.get("tool_choice") != "none",
    )


def _model(body: Json, known: str) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("'model' must be a string.", "model")
    if model != known:
        raise BadRequest(f"The model {model[:100]!r} does not exist here.", "model", "model_not_found", status=404)
    return model


def _flag(body: Json, name: str) -> bool:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise BadRequest(f"'{name}' must be true or false.", name)


def _most_tokens(body: Json) -> int | None:
    for name in _TOKEN_LIMITS:
        value = body.get(name)
        if value is None:
            continue
        if type(value) is not int or value < 1:
            raise BadRequest(f"'{name}' must be a whole number above 0.", name)
        return value
    return None


def complete(request: ChatRequest, reply: Reply) -> Completion:
    """Give the calls their ids, cut the text at the token limit, count."""
    calls = tuple(Call(call.name, call.arguments, f"call_{uuid.uuid4().hex[:24]}") for call in reply.calls)
    text, finish_reason = reply.text, "tool_calls" if calls else "stop"
    if request.most_tokens is not None and count_tokens(text) > request.most_tokens:
        text, finish_reason = text[: request.most_tokens * _CHARACTERS_PER_TOKEN], "length"
    spent = count_tokens(text) + sum(count_tokens(call.name) + count_tokens(_arguments(call)) for call in calls)
    usage = {
        "prompt_tokens": request.prompt_tokens,
        "completion_tokens": max(spent, 1),
        "total_tokens": request.prompt_tokens + max(spent, 1),
    }
    return Completion(
        f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), request.model, Reply(text, calls), finish_reason, usage
    )


def whole(done: Completion) -> Json:
    """The body of a reply that is not streamed."""
    message: Json = {"role": "assistant", "content": done.reply.text or None, "refusal": None}
    if done.reply.calls:
        message["tool_calls"] = [_tool_call(call) for call in done.reply.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": done.finish_reason}
    return {**_head(done, "chat.completion"), "choices": [choice], "usage": done.usage}


def chunks(done: Completion, *, with_usage: bool) -> Iterator[Json]:
    """The parts of a streamed reply: role, deltas, finish reason, usage if asked for."""
    yield _chunk(done, {"role": "assistant", "content": "" if done.reply.text else None})
    for piece in pieces(done.reply.text):
        yield _chunk(done, {"content": piece})
    for index, call in enumerate(done.reply.calls):
        yield _chunk(done, {"tool_calls": [{"index": index, **_tool_call(call, arguments="")}]})
        yield _chunk(done, {"tool_calls": [{"index": index, "function": {"arguments": _arguments(call)}}]})
    yield _chunk(done, {}, done.finish_reason)
    if with_usage:
        yield {**_head(done, "chat.completion.chunk"), "choices": [], "usage": done.usage}


def stream_of(done: Completion, *, with_usage: bool) -> Iterator[bytes]:
    """The same as server-sent events."""
    for chunk in chunks(done, with_usage=with_usage):
        yield b"data: " + orjson.dumps(chunk) + b"\n\n"
    yield b"data: [DONE]\n\n"


def pieces(text: str) -> list[str]:
    """A text in parts that end between words; joined they are the text again."""
    found: list[str] = []
    for part in re.findall(r"\S+\s*|\s+", text):
        if found and len(found[-1]) + len(part) <= _DELTA_CHARACTERS:
            found[-1] += part
        else:
            found.append(part)
    return found


def count_tokens(text: str) -> int:
    """An estimate, the same on every run."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def models() -> Json:
    return {
        "object": "list",
        "data": [
            {"id": model, "object": "model", "created": 0, "owned_by": "local-stack"}
            for model in (CHAT_MODEL, EMBEDDING_MODEL)
        ],
    }


def _prompt_tokens(messages: list[Any], tools: list[Any]) -> int:
    spent = sum(
        _TOKENS_PER_MESSAGE + count_tokens(text_of(message.get("content"))) + _size(message.get("tool_calls"))
        for message in messages
    )
    return spent + _size(tools)


def _size(value: Any) -> int:
    return -(-len(orjson.dumps(value)) // _CHARACTERS_PER_TOKEN) if value else 0


def _head(done: Completion, kind: str) -> Json:
    return {"id": done.id, "object": kind, "created": done.created, "model": done.model}


def _chunk(done: Completion, delta: Json, finish_reason: str | None = None) -> Json:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {**_head(done, "chat.completion.chunk"), "choices": [choice]}


def _tool_call(call: Call, arguments: str | None = None) -> Json:
    written = _arguments(call) if arguments is None else arguments
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": written}}


def _arguments(call: Call) -> str:
    return orjson.dumps(call.arguments).decode()
