"""The HTTP side of the stand-in model: chat completions by rules, embeddings by a real encoder."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio.to_thread
import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from local_stack.demo_rules import openai_api as wire
from local_stack.demo_rules.embeddings import Encoder, embedding_reply, read_embedding_request
from local_stack.demo_rules.flow import reply_to

MOST_BODY_BYTES = 4 * 1024 * 1024


def create_app(encoder: Encoder | None = None) -> Starlette:
    encoder = encoder or Encoder()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=encoder.warm_up, name="load-encoder", daemon=True).start()
        yield

    async def embeddings(request: Request) -> Response:
        asked = read_embedding_request(wire.read_object(await _body(request)))
        vectors = await anyio.to_thread.run_sync(encoder, asked.texts)
        return _json(embedding_reply(asked, vectors))

    async def readyz(_: Request) -> Response:
        return _json({"status": "ready"}) if encoder.is_ready else _json({"status": "loading"}, 503)

    return Starlette(
        routes=[
            Route("/v1/models", _models),
            Route("/v1/models/{model}", _model),
            Route("/v1/chat/completions", _chat, methods=["POST"]),
            Route("/v1/embeddings", embeddings, methods=["POST"]),
            Route("/livez", _livez),
            Route("/readyz", readyz),
        ],
        exception_handlers={
            wire.BadRequest: _bad_request,
            HTTPException: _http_error,
            ClientDisconnect: _gone,
            Exception: _server_error,
        },
        lifespan=lifespan,
    )


async def _chat(request: Request) -> Response:
    asked = wire.read_chat_request(wire.read_object(await _body(request)))
    done = wire.complete(asked, reply_to(asked.talk, may_call=asked.may_call))
    if not asked.is_stream:
        return _json(wire.whole(done))
    return StreamingResponse(_sent(wire.stream_of(done, with_usage=asked.with_usage)), media_type="text/event-stream")


async def _sent(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Straight on the event loop: a plain iterator would cost a thread hop for every part."""
    for part in parts:
        yield part


async def _models(_: Request) -> Response:
    return _json(wire.models())


async def _model(request: Request) -> Response:
    wanted = request.path_params["model"]
    for model in wire.models()["data"]:
        if model["id"] == wanted:
            return _json(model)
    raise wire.BadRequest("That model does not exist here.", "model", "model_not_found", status=404)


async def _livez(_: Request) -> Response:
    return _json({"status": "alive"})


async def _body(request: Request) -> bytes:
    """Raises BadRequest (413) as soon as the body is too long."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BODY_BYTES:
            raise wire.BadRequest(f"The body is longer than {MOST_BODY_BYTES} bytes.", code="too_large", status=413)
        parts.append(part)
    return b"".join(parts)


def _json(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


async def _bad_request(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, wire.BadRequest)
    return _json(exc.body, exc.status)


async def _http_error(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return _json(wire.error_body(str(exc.detail)), exc.status_code)


async def _gone(_: Request, exc: Exception) -> Response:
    return Response(status_code=400)  # nobody is left to read it


async def _server_error(_: Request, exc: Exception) -> Response:
    return _json(wire.error_body("The stand-in model failed.", kind="server_error"), 500)
