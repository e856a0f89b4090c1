"""What every service's FastAPI app has in common: errors as problem+json, request ids, limits, logs, and the server."""

import asyncio
import gc
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import orjson
import structlog
import uvicorn
import uvloop
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from opentelemetry.trace import SpanKind
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared_models import faults
from shared_models.causes import cause_of
from shared_models.enums import ServiceName
from shared_models.errors import (
    InvalidRequest,
    MalformedBody,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    PayloadTooLarge,
    ServiceError,
)
from shared_models.health import Health, health_router
from shared_models.ids import new_id
from shared_models.logging import get_logger
from shared_models.schema_gate import wait_for_schema
from shared_models.settings import ProcessSettings
from shared_models.telemetry import HTTP_DURATION, span
from shared_models.tokens import InvalidToken, ServiceCaller, ServiceTokens

MAX_BODY_BYTES = 1024 * 1024
PROBLEM_BASE = "https://self-service-agent.example/problems/"
PROBLEM_TYPE = "application/problem+json"
GC_ALLOCATIONS = 50_000
EVENTS_PATH = "/events"
DEAD_LETTERS_PATH = "/dead-letters"
QUIET_PATHS = ("/livez", "/readyz", "/health")
REQUEST_ID = re.compile(r"^[A-Za-z0-9_-]{8,64}$")
SECURITY_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))

type Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

log = get_logger(__name__)


def create_app(
    service: ServiceName,
    *,
    health: Health,
    routers: Sequence[APIRouter],
    lifespan: Lifespan,
    version: str = "0.1.0",
    docs: bool = False,
) -> FastAPI:
    """A FastAPI app with this house's error bodies, limits and health routes; `docs`: a page to try it at /docs."""

    @asynccontextmanager
    async def run_parts(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app):
            yield

    app = FastAPI(
        title=f"Self-Service Agent: {service.value}",
        version=version,
        lifespan=run_parts,
        redirect_slashes=False,
        docs_url="/docs" if docs else None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # spans and metrics are EdgeMiddleware's
    )
    for router in (*routers, health_router(health)):
        app.include_router(router)
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(EdgeMiddleware, service=service.value)
    return app


class EdgeMiddleware:
    """Outermost layer: request id, body limit, trace, security headers, one log line and one metric per request."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get("x-request-id", "")
        http_id = given if REQUEST_ID.match(given) else new_id().hex
        scope.setdefault("state", {})["http_id"] = http_id
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [(b"x-request-id", http_id.encode()), *SECURITY_HEADERS]
                present = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in present)]
            await send(message)

        with (
            structlog.contextvars.bound_contextvars(http_id=http_id),
            span(f"{scope['method']}", traceparent=headers.get("traceparent", ""), kind=SpanKind.SERVER),
        ):
            try:
                limited = _limited(headers, receive, at_once=scope["path"] not in (EVENTS_PATH, DEAD_LETTERS_PATH))
                await self._app(scope, limited, send_with_headers)
            except PayloadTooLarge as exc:
                if status == 0:
                    await problem(exc, http_id)(scope, receive, send_with_headers)
            except Exception:
                log.exception("unexpected_error")
                if status != 0:
                    raise
                await problem(ServiceError(), http_id)(scope, receive, send_with_headers)
            finally:
                self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        HTTP_DURATION.labels(self._service, scope["method"], route, str(status)).observe(seconds)
        if route not in QUIET_PATHS:
            log.info("http", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1))


def _limited(headers: dict[str, str], receive: Receive, *, at_once: bool) -> Receive:
    """`receive` that raises PayloadTooLarge past the limit; a declared length is refused `at_once`, or when it is read."""
    declared = headers.get("content-length", "")
    is_too_large = declared.isdigit() and int(declared) > MAX_BODY_BYTES
    if is_too_large and at_once:
        raise PayloadTooLarge
    total = 0

    async def receive_limited() -> Message:
        nonlocal total
        if is_too_large:
            raise PayloadTooLarge
        message = await receive()
        total += len(message.get("body", b""))
        if total > MAX_BODY_BYTES:
            raise PayloadTooLarge
        return message

    return receive_limited


def problem(error: ServiceError, http_id: str, **extra: object) -> Response:
    """The error as RFC 9457 problem+json, with Retry-After where it is known."""
    body: dict[str, object] = {
        "type": PROBLEM_BASE + error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.detail if error.tells_detail else "",
        "code": error.code,
        "hint": error.hint,
        "retryable": error.retryable,
        "request_id": http_id,
        **extra,
    }
    headers = dict(error.headers)
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    elif error.status == 503:
        headers["retry-after"] = "2"
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(orjson.dumps(body), error.status, headers, PROBLEM_TYPE)


def _http_id(request: Request) -> str:
    return str(getattr(request.state, "http_id", ""))


async def _service_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, ServiceError)
    if exc.status >= 500:
        log.warning("request_failed", code=exc.code, cause=cause_of(exc.__cause__ or exc))
    return problem(exc, _http_id(request))


async def _validation_error(request: Request, exc: Exception) -> Response:
    """Names the fields and the rules, never the values: those may be secrets."""
    assert isinstance(exc, RequestValidationError)
    errors = exc.errors()
    if any(error["type"] == "json_invalid" or _is_unread(error) for error in errors):
        return problem(MalformedBody(), _http_id(request))
    fields = [{"field": ".".join(str(part) for part in error["loc"]), "message": error["msg"]} for error in errors[:20]]
    detail = "; ".join(f"{field['field']}: {field['message']}" for field in fields[:3])
    return problem(InvalidRequest(detail), _http_id(request), errors=fields)


def _is_unread(error: dict[str, Any]) -> bool:
    """A body that FastAPI left as it came, because its Content-Type is not JSON."""
    return error["loc"] == ("body",) and isinstance(error["input"], bytes)


async def _http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if isinstance(exc.__cause__, ServiceError):  # FastAPI wraps what is raised while it reads the body
        return problem(exc.__cause__, _http_id(request))
    known: dict[int, type[ServiceError]] = {401: NotAuthenticated, 403: NotAllowed, 404: NotFound, 400: MalformedBody}
    kind = known.get(exc.status_code, ServiceError)
    error = kind()
    if kind is ServiceError:
        error.status, error.code, error.title = exc.status_code, f"http_{exc.status_code}", str(exc.detail)
        error.hint = "See the API description at /openapi.json."
    response = problem(error, _http_id(request))
    for name, value in (exc.headers or {}).items():
        response.headers[name] = value
    return response


def bearer(request: Request) -> str:
    """The value of `Authorization: Bearer`, or an empty string."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def service_caller(tokens: ServiceTokens, *allowed: ServiceName) -> Callable[[Request], Awaitable[ServiceCaller]]:
    """A dependency that lets in the named services by their token; async, as FastAPI runs a plain one in a thread.

    Raises NotAuthenticated, NotAllowed."""

    async def check(request: Request) -> ServiceCaller:
        try:
            caller = tokens.verify(bearer(request))
        except InvalidToken as exc:
            raise NotAuthenticated from exc
        if caller.service not in allowed:
            raise NotAllowed
        return caller

    return check


def run(app: FastAPI, settings: ProcessSettings, *, operations: FastAPI | None = None, metrics_port: int = 0) -> None:
    """`serve` on uvloop: the loop must be chosen before it runs."""
    uvloop.run(serve(app, settings, operations=operations, metrics_port=metrics_port))


async def serve(
    app: FastAPI, settings: ProcessSettings, *, operations: FastAPI | None = None, metrics_port: int = 0
) -> None:
    """Serve until SIGINT or SIGTERM; `operations` on its own port beside it."""
    options: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "date_header": False,
        "loop": "uvloop",
        "http": "httptools",
        "ws": "none",  # no service speaks it, and its library takes memory
        "timeout_graceful_shutdown": 10,
        "timeout_keep_alive": 75,
        "backlog": 2048,
    }
    await wait_for_schema(settings, options)
    if settings.faults_dir:
        faults.arm(Path(settings.faults_dir))
    server = _Server(uvicorn.Config(faults.around(app), host=settings.host, port=settings.port, **options), app)
    if operations is None or metrics_port == 0:
        await server.serve()
        return
    beside = _QuietServer(uvicorn.Config(operations, host=settings.host, port=metrics_port, **options))
    task = asyncio.create_task(beside.serve())
    try:
        await server.serve()
    finally:
        beside.should_exit = True
        await task


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """A service may say at `app.state.before_shutdown` what ends its long waits: the server waits for every reply."""
        if hasattr(self._app.state, "before_shutdown"):
            self._app.state.before_shutdown()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """What start-up made stays for ever: the garbage collector need not walk it again, some 5 % of a request's CPU."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_ALLOCATIONS, 20, 50)


class _QuietServer(uvicorn.Server):
    """A second server in the same process: the first one owns the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
