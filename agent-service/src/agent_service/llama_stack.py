"""The model behind a Llama Stack or OGX server, through `llama-stack-client`.

Only the client's transport is used: its typed models cost 4 ms of CPU per call. Retries are ours to decide, so it makes
none. A reply is read piece by piece with a limit on its size, and one clock runs over the whole call."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
from llama_stack_client import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AsyncLlamaStackClient,
    AsyncStream,
)
from llama_stack_client._models import FinalRequestOptions
from shared_clients.events import retry_after_s
from shared_clients.stream import read_events
from shared_models.errors import UpstreamUnavailable
from shared_models.logging import get_logger
from shared_models.telemetry import MODEL_DURATION, MODEL_TOKENS, current_traceparent

from agent_service.domain.ports import Item, ModelCall, ModelReply, OnDelta
from agent_service.errors import ConversationLost, ModelError, ModelGarbage, ModelTimeout, ModelUnavailable
from agent_service.responses import (
    DELTA_EVENT,
    DONE_EVENTS,
    FAILED_EVENTS,
    error_text,
    first_language_model,
    read_json,
    read_reply,
    refusal,
    reply_of,
    request_body,
)

RESPONSES = "/v1/responses"
MODELS = "/v1/models"
CONVERSATIONS = "/v1/conversations"
MAX_REPLY_BYTES = 8 * 1024 * 1024
CONNECT_TIMEOUT_S = 5.0
SHORT_TIMEOUT_S = 10.0
ITEMS_PER_APPEND = 20
MAX_CAUSE_CHARS = 300
PER_REQUEST = (b"content-length", b"x-stainless-read-timeout")


class _Client(AsyncLlamaStackClient):
    """Builds the requests that ask the model from what is the same in each, made once: half of what a call costs here."""

    _first: httpx.Request | None = None

    def _build_request(self, options: FinalRequestOptions, *, retries_taken: int = 0) -> httpx.Request:
        content, timeout = options.content, options.timeout
        if options.url != RESPONSES or not isinstance(content, bytes) or not isinstance(timeout, httpx.Timeout):
            return super()._build_request(options, retries_taken=retries_taken)
        if self._first is None:
            bare = options.model_copy(update={"content": None, "headers": {}})
            self._first = super()._build_request(bare)
            self._same = [pair for pair in self._first.headers.raw if pair[0].lower() not in PER_REQUEST]
        headers = [
            *self._same,
            *(
                (name.encode(), value.encode())
                for name, value in (options.headers or {}).items()
                if isinstance(value, str)
            ),
        ]
        extensions = {"timeout": timeout.as_dict()}
        return httpx.Request("POST", self._first.url, headers=headers, content=content, extensions=extensions)


log = get_logger(__name__)


class LlamaStack:
    """The ports Model and Conversations. `base_url` is without /v1; `http` stays its owner's to close."""

    def __init__(
        self, http: httpx.AsyncClient, base_url: str, *, api_key: str = "", max_reply_bytes: int = MAX_REPLY_BYTES
    ) -> None:
        self._client = _Client(
            base_url=base_url.rstrip("/").removesuffix("/v1"),
            api_key=api_key or "none",
            http_client=http,
            max_retries=0,
            timeout=httpx.Timeout(SHORT_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )
        self._max_reply_bytes = max_reply_bytes
        self._chosen_model = ""

    async def respond(self, call: ModelCall) -> ModelReply:
        """Ask once. Raises the errors of the port."""
        started = time.perf_counter()
        outcome = "error"
        try:
            reply = await self._respond(call)
            outcome = "ok"
        except ModelError as exc:
            outcome = exc.code
            self._chosen_model = ""  # it may be the model that is gone: choose again
            raise
        finally:
            MODEL_DURATION.labels(call.agent, outcome).observe(time.perf_counter() - started)
        MODEL_TOKENS.labels(call.agent, "input").inc(reply.input_tokens)
        MODEL_TOKENS.labels(call.agent, "output").inc(reply.output_tokens)
        return reply

    async def _respond(self, call: ModelCall) -> ModelReply:
        if not call.model:
            call = replace(call, model=await self._model())
        async with self._post(RESPONSES, request_body(call), call.timeout_s) as response:
            if call.on_delta is not None:
                return await self._read_stream(response, call.on_delta)
            return read_reply(await self._read(response))

    async def _model(self) -> str:
        """The first language model that the server lists. Raises ModelError."""
        if not self._chosen_model:
            async with self._post(MODELS, None, SHORT_TIMEOUT_S) as response:
                self._chosen_model = first_language_model(read_json(await self._read(response)))
            log.info("model_chosen", model=self._chosen_model)
        return self._chosen_model

    async def warm(self) -> None:
        """Go the whole way of a call once without asking a model: the server refuses an empty body.

        Raises ModelUnavailable, ModelTimeout when the server is not there."""
        # A refusal, whatever its words, is the answer that is expected.
        with suppress(_Refused):
            async with self._sent(RESPONSES, b"{}", SHORT_TIMEOUT_S) as response:
                await self._read(response)
        with suppress(ModelGarbage):
            read_reply(b'{"output": []}')

    async def check(self) -> None:
        """For readiness. Raises ModelError when the server is not healthy."""
        try:
            await self._client.get("/v1/health", cast_to=httpx.Response)
        except APIError as exc:
            raise ModelUnavailable(f"health: {exc.__cause__ or exc!r}"[:300]) from exc

    async def create(self, items: Sequence[Item]) -> str:
        """Make a conversation with these messages, however many. Raises ModelError."""
        async with self._post(CONVERSATIONS, orjson.dumps({"items": list(items)}), SHORT_TIMEOUT_S) as response:
            conversation_id = read_json(await self._read(response)).get("id")
        if not isinstance(conversation_id, str) or not conversation_id:
            raise ModelGarbage("the new conversation has no id")
        return conversation_id

    async def append(self, conversation_id: str, items: Sequence[Item]) -> None:
        """Add messages, 20 per call as both servers want it. Raises ConversationLost, ModelError."""
        path = f"{CONVERSATIONS}/{conversation_id}/items"
        for start in range(0, len(items), ITEMS_PER_APPEND):
            body = orjson.dumps({"items": list(items[start : start + ITEMS_PER_APPEND])})
            try:
                async with self._sent(path, body, SHORT_TIMEOUT_S) as response:
                    await self._read(response)
            except _Refused as exc:
                # 400: an id that such a server never makes; it is as lost as an unknown one.
                if exc.status in (400, 404):
                    raise ConversationLost(exc.text[:200]) from exc
                raise exc.as_model_error() from exc

    @asynccontextmanager
    async def _post(self, path: str, body: bytes | None, timeout_s: float) -> AsyncIterator[httpx.Response]:
        try:
            async with self._sent(path, body, timeout_s) as response:
                yield response
        except _Refused as exc:
            raise exc.as_model_error() from exc

    @asynccontextmanager
    async def _sent(self, path: str, body: bytes | None, timeout_s: float) -> AsyncIterator[httpx.Response]:
        """An accepted call whose body is still to be read. `timeout_s` is for all of it. Raises _Refused, ModelError."""
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._send(path, body, timeout_s)
                try:
                    yield response
                finally:
                    await response.aclose()
        except httpx.ConnectTimeout as exc:  # aiohttp's transport: refused, not reached, or hung up on us
            raise _not_reached(path, exc) from exc
        except (TimeoutError, httpx.TimeoutException) as exc:
            raise ModelTimeout(f"no whole reply within {timeout_s:g} s") from exc
        except (httpx.TransportError, APIConnectionError, UpstreamUnavailable) as exc:
            raise _not_reached(path, exc) from exc

    async def _send(self, path: str, body: bytes | None, timeout_s: float) -> httpx.Response:
        """POST the body; without one GET."""
        options = {
            "headers": _headers(),
            "timeout": httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
        }
        how: Any = {"cast_to": httpx.Response, "options": options, "stream": True, "stream_cls": AsyncStream[object]}
        try:
            if body is None:
                response = await self._client.get(path, **how)
            else:
                response = await self._client.post(path, content=body, **how)
        except APIStatusError as exc:
            raise _Refused(exc.response) from exc
        except APIConnectionError as exc:
            if isinstance(exc.__cause__, httpx.TransportError):
                raise exc.__cause__ from exc
            raise
        assert isinstance(response, httpx.Response)
        return response

    async def _read(self, response: httpx.Response) -> bytes:
        """The body. Raises ModelGarbage when it is too large."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > self._max_reply_bytes:
                raise ModelGarbage(f"the reply is larger than {self._max_reply_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    async def _read_stream(self, response: httpx.Response, on_delta: OnDelta) -> ModelReply:
        """Pass the text on as it comes; the last event holds the whole reply. A stream without it was cut."""
        size = 0
        async for sent in read_events(response):
            size += len(sent.data)
            if size > self._max_reply_bytes:
                raise ModelGarbage(f"the stream is larger than {self._max_reply_bytes} bytes")
            if sent.data == "[DONE]":
                continue
            event = read_json(sent.data)
            kind = event.get("type")
            if kind == DELTA_EVENT and isinstance(event.get("delta"), str):
                await on_delta(event["delta"])
            elif kind in DONE_EVENTS:
                return reply_of(event.get("response"))
            elif kind in FAILED_EVENTS:
                raise refusal(200, error_text(event))
        raise ModelUnavailable("the stream ended before the reply did")


def _not_reached(path: str, cause: Exception) -> ModelUnavailable:
    """For operators the cause is logged at once: unlike the words of a server, it quotes nobody."""
    told = f"{path}: {cause!r}"[:MAX_CAUSE_CHARS]
    log.warning("model_not_reached", cause=told)
    return ModelUnavailable(told)


class _Refused(Exception):
    """The server answered 4xx or 5xx."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"status {response.status_code}")
        self.status = response.status_code
        self.text = _words(response)
        self.retry_after_s = retry_after_s(response.headers, datetime.now(UTC))

    def as_model_error(self) -> ModelError:
        return refusal(self.status, self.text, retry_after_s=self.retry_after_s)


def _words(response: httpx.Response) -> str:
    try:
        return error_text(read_json(response.content)) or response.text[:1000]
    except ModelGarbage:
        return response.text[:1000]


def _headers() -> Mapping[str, str]:
    traceparent = current_traceparent()
    return {"traceparent": traceparent} if traceparent else {}
