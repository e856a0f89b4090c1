"""`POST /events` of every service: authenticate, read, parse, take. Every answer has an EMPTY body.

202 done or done before; 400 never, and a copy is kept as a dead letter first; 503 later; 401 and 403 for strangers. A 2xx
with a body would be a failed delivery for Knative's Kafka broker, and 404 or 409 would be sent again and again.
Source: https://github.com/knative/specs/blob/main/specs/eventing/data-plane.md."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import structlog
from fastapi import APIRouter, Request, Response

from shared_models.database import Database
from shared_models.dead_letters import keep_refused
from shared_models.enums import ServiceName
from shared_models.errors import (
    MalformedBody,
    NotAllowed,
    NotAuthenticated,
    PayloadTooLarge,
    ServiceError,
    Unavailable,
)
from shared_models.event_access import EventAccess
from shared_models.events import CloudEvent, parse_http
from shared_models.logging import get_logger
from shared_models.telemetry import span
from shared_models.web import EVENTS_PATH

MAX_CAUSE_LENGTH = 300
PATIENCE_S, LOOK_EVERY_S = 8.0, 0.25
"""For a database that is away. Less than what callers wait for an answer: 10 s in direct mode, 30 s of a trigger."""
RETRY_AFTER = {"retry-after": "2"}
EMPTY_REPLIES: dict[int | str, dict[str, str]] = {
    202: {"description": "Done, or done before"},
    400: {"description": "This event will never be taken; a copy is kept as a dead letter"},
    401: {"description": "Not signed in"},
    403: {"description": "Not allowed"},
    503: {"description": "Send it again later"},
}

log = get_logger(__name__)


@dataclass(frozen=True)
class EventEndpoint:
    """`take` has the effect of one event, once and durably, or raises: a ServiceError that is retryable, or 5xx, for later;
    any other ServiceError or an asyncpg.DataError for never. While the database is away it is called again for `patience_s`: a
    broker doubles its pause with each refusal, and would come back up to a minute after the database has."""

    service: ServiceName
    database: Database
    access: EventAccess
    take: Callable[[CloudEvent], Awaitable[None]]
    patience_s: float = PATIENCE_S

    async def answer(self, request: Request) -> Response:
        try:
            await self.access.check(request)
        except NotAuthenticated:
            return Response(status_code=401, headers={"www-authenticate": "Bearer"})
        except NotAllowed:
            return Response(status_code=403)
        except ServiceError as exc:
            return _later(exc)
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
            check_once(request)
            await self._take(parse_http(headers, bytes(body)))
        except PayloadTooLarge as exc:
            return await self._refuse(headers, None, exc)
        except asyncpg.DataError as exc:
            return await self._refuse(headers, bytes(body), exc)
        except ServiceError as exc:
            if exc.retryable or exc.status >= 500:
                return _later(exc)
            return await self._refuse(headers, bytes(body), exc)
        except Exception:
            log.exception("event_failed")
            return Response(status_code=503, headers=RETRY_AFTER)
        return Response(status_code=202)

    async def _take(self, event: CloudEvent) -> None:
        ids = {"event_id": event.id, "request_id": event.extensions.get("requestid", "")}
        with (
            structlog.contextvars.bound_contextvars(**ids, session_id=event.extensions.get("sessionid", "")),
            span("event", traceparent=event.extensions.get("traceparent", ""), event_type=event.type),
        ):
            await self._take_patiently(event)

    async def _take_patiently(self, event: CloudEvent) -> None:
        give_up_at = time.monotonic() + self.patience_s
        while True:
            try:
                return await self.take(event)
            except Unavailable:
                if time.monotonic() >= give_up_at:
                    raise
            await asyncio.sleep(LOOK_EVERY_S)

    async def _refuse(self, headers: dict[str, str], body: bytes | None, cause: Exception) -> Response:
        """Keep it, then refuse it; if it cannot be kept, it is not refused yet. `body` None: it was not read to its end."""
        words = _words(cause)
        log.warning("event_refused", cause=words, event_id=headers.get("ce-id", ""))
        try:
            await keep_refused(self.database, self.service, headers=headers, body=body, cause=words)
        except Exception:
            log.exception("dead_letter_not_kept")
            return Response(status_code=503, headers=RETRY_AFTER)
        return Response(status_code=400)


def check_once(request: Request) -> None:
    """Raises MalformedBody for an attribute that is given twice: which one holds is not for us to guess."""
    names = [name for name, _ in request.headers.items() if name.startswith("ce-") or name == "content-type"]
    if len(set(names)) < len(names):
        raise MalformedBody("An attribute is given twice.")


def _later(exc: ServiceError) -> Response:
    log.warning("event_not_taken_yet", code=exc.code)
    return Response(status_code=503, headers=RETRY_AFTER)


def _words(cause: Exception) -> str:
    """Names what is wrong, never a value: data may be personal."""
    if isinstance(cause, asyncpg.DataError):
        return "It holds characters or numbers that cannot be stored."
    return str(cause)[:MAX_CAUSE_LENGTH]


def events_router() -> APIRouter:
    """The route; each service has its endpoint at `app.state.parts.event_endpoint`."""
    router = APIRouter(tags=["events"])

    @router.post(
        EVENTS_PATH,
        status_code=202,
        response_class=Response,
        responses=EMPTY_REPLIES,
        openapi_extra={"x-callers": ["service", "broker"]},
    )
    async def take_event(request: Request) -> Response:
        """A CloudEvent 1.0, in binary or structured mode. The reply is always empty."""
        endpoint: EventEndpoint = request.app.state.parts.event_endpoint
        return await endpoint.answer(request)

    return router
