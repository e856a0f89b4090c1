"""The part of the Responses API that OGX and Llama Stack share, read without a model class per field.

Source: https://platform.openai.com/docs/api-reference/responses; what both servers really send was tried on OGX 1.5 and
llama-stack 0.7."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from agent_service.domain.ports import ModelCall, ModelReply, ToolCall
from agent_service.errors import (
    ModelAuthFailed,
    ModelContextOverflow,
    ModelError,
    ModelGarbage,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)

MAX_CALLS_PER_REPLY = 64
MAX_DETAIL = 300
DONE_EVENTS = ("response.completed", "response.incomplete")
FAILED_EVENTS = ("response.failed", "error")
DELTA_EVENT = "response.output_text.delta"

# Both servers answer 500 for whatever their own model server refused: only the text tells one case from another.
REFUSALS: tuple[tuple[re.Pattern[str], type[ModelError]], ...] = (
    (
        re.compile(
            r"context.{0,12}(length|window|size)|maximum context|prompt is too long|input is too long|too many tokens",
            re.I,
        ),
        ModelContextOverflow,
    ),
    (re.compile(r"rate.?limit|too many requests|quota|(error code|status)\W{0,4}429", re.I), ModelRateLimited),
    (
        re.compile(
            r"api.?key|unauthori[sz]ed|authenticat|forbidden|permission|access denied|(error code|status)\W{0,4}40[13]",
            re.I,
        ),
        ModelAuthFailed,
    ),
    (re.compile(r"model\b.{0,120}?(not found|does not exist|not exist|unknown|not supported)", re.I), ModelAuthFailed),
    (re.compile(r"timed? ?out|timeout", re.I), ModelTimeout),
)


def request_body(call: ModelCall) -> bytes:
    """The body of `POST /v1/responses`: nothing is stored there, so everything the model needs is in it."""
    body: dict[str, Any] = {
        "model": call.model,
        "instructions": call.instructions,
        "input": list(call.input),
        "store": False,
        **call.sampling,
    }
    if call.tools:
        body["tools"] = list(call.tools)
    if call.max_output_tokens is not None:
        body["max_output_tokens"] = call.max_output_tokens
    if call.on_delta is not None:
        body["stream"] = True
    return orjson.dumps(body)


def first_language_model(models: Mapping[str, Any]) -> str:
    """The id of the first one in the reply of `GET /v1/models`. Raises ModelUnavailable when there is none.

    OGX tells the type in `custom_metadata`, older servers beside the id; a plain OpenAI server tells none."""
    listed = models.get("data")
    for model in listed if isinstance(listed, list) else []:
        if not isinstance(model, dict):
            continue
        told = model.get("custom_metadata") or model
        name = model.get("id") or model.get("identifier")
        if isinstance(name, str) and isinstance(told, dict) and told.get("model_type", "llm") == "llm":
            return name
    raise ModelUnavailable("LLAMA_STACK_MODEL is empty, and the server lists no language model")


def read_reply(raw: bytes) -> ModelReply:
    """A whole reply. Raises ModelGarbage, or the error that it tells."""
    return reply_of(read_json(raw))


def read_json(raw: bytes | str) -> dict[str, Any]:
    """Raises ModelGarbage for anything but a JSON object."""
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise ModelGarbage("the reply is no JSON") from exc
    if not isinstance(data, dict):
        raise ModelGarbage("the reply is no JSON object")
    return data


def reply_of(response: object) -> ModelReply:
    """A response object as a reply. Raises ModelGarbage, or the error that it tells."""
    if not isinstance(response, dict) or not isinstance(response.get("output"), list):
        if isinstance(response, dict) and response.get("error"):
            raise refusal(200, error_text(response))
        raise ModelGarbage("the reply has no output")
    status = response.get("status")
    if status in ("failed", "cancelled"):
        raise refusal(200, error_text(response))
    texts: list[str] = []
    calls: list[ToolCall] = []
    for item in response["output"]:
        _read_item(item, texts, calls)
    text = "".join(texts).strip()
    if not text and not calls:
        raise ModelGarbage("the reply holds neither text nor a tool call")
    usage = response.get("usage")
    return ModelReply(
        text=text,
        tool_calls=tuple(calls),
        input_tokens=_count(usage, "input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        is_cut_off=status == "incomplete",
    )


def _read_item(item: object, texts: list[str], calls: list[ToolCall]) -> None:
    """Takes messages and function calls; other items (reasoning, …) say nothing to us. Raises ModelGarbage."""
    if not isinstance(item, dict):
        raise ModelGarbage("an output item is no object")
    match item.get("type"):
        case "message":
            texts.extend(_texts(item.get("content")))
        case "function_call":
            if len(calls) >= MAX_CALLS_PER_REPLY:
                raise ModelGarbage(f"more than {MAX_CALLS_PER_REPLY} tool calls in one reply")
            calls.append(_tool_call(item))


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        raise ModelGarbage("a message has no content")
    parts = [part.get("text", part.get("refusal")) for part in content if isinstance(part, dict)]
    return [part for part in parts if isinstance(part, str)]


def _tool_call(item: dict[str, Any]) -> ToolCall:
    call_id, name, arguments = item.get("call_id"), item.get("name"), item.get("arguments")
    if not (isinstance(call_id, str) and call_id and isinstance(name, str) and name):
        raise ModelGarbage("a tool call has no name or id")
    if not isinstance(arguments, str):
        arguments = orjson.dumps(arguments).decode()
    return ToolCall(call_id, name, arguments)


def _count(usage: object, name: str) -> int:
    value = usage.get(name) if isinstance(usage, dict) else 0
    return value if isinstance(value, int) and value > 0 else 0


def refusal(status: int, text: str, *, retry_after_s: float | None = None) -> ModelError:
    """The error for what a model server said. `status` 200: it was told inside a stream or a reply."""
    detail = f"{status}: {text[:MAX_DETAIL]}"
    if status == 429:
        return ModelRateLimited(detail, retry_after_s=retry_after_s)
    if status in (401, 403):
        return ModelAuthFailed(detail)
    for pattern, kind in REFUSALS:
        if pattern.search(text):
            return kind(detail, retry_after_s=retry_after_s)
    if status in (404, 405):
        return ModelAuthFailed(f"no Responses API at this address: {detail}")
    if 400 <= status < 500 and status not in (408, 425):
        return ModelGarbage(f"our request was refused: {detail}")
    return ModelUnavailable(detail, retry_after_s=retry_after_s)


def error_text(body: object) -> str:
    """The words of an error in any of the shapes in which they come."""
    if isinstance(body, str):
        return body
    if not isinstance(body, dict):
        return ""
    for name in ("detail", "error", "response"):
        if text := error_text(body.get(name)):
            return text
    return ": ".join(part for part in (body.get("code"), body.get("message")) if isinstance(part, str) and part)
