"""The state of runs, their end, and what they tell while they are at work."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from shared_clients.stream import HEARTBEAT, ServerSentEvent
from shared_models.errors import InvalidRequest, NotFound, Unavailable
from shared_models.logging import get_logger
from shared_models.schemas import RunView

from agent_service.domain.run_events import joined, place_of
from agent_service.parts import Parts
from agent_service.routes.dependencies import CALLERS, CallerDep, EndRunBody, PartsDep, need_own, problems
from agent_service.store import intake, live
from agent_service.store.live import Seen

HEARTBEAT_S = 15.0
LOOK_EVERY_S = 1.0
ARRIVES_WITHIN_S = 5.0
RENEW_WATCH_S = live.WATCHED_S / 2

log = get_logger(__name__)
router = APIRouter(prefix="/api/v1/runs", tags=["runs"])


@router.get("/{request_id}", responses=problems(404), openapi_extra=CALLERS)
async def read_run(request_id: UUID, parts: PartsDep, caller: CallerDep) -> RunView:
    view = await parts.processor.view(request_id)
    if caller.acting is not None:
        need_own(caller, await owner_of(parts, request_id))
    return view


@router.post("/{request_id}/end", responses=problems(404, 422), openapi_extra=CALLERS)
async def end_run(request_id: UUID, body: EndRunBody, parts: PartsDep, caller: CallerDep) -> RunView:
    """Ask for an end; the first one decides. Leaves a tombstone where no run is (yet)."""
    if body.request.request_id != request_id:
        raise InvalidRequest("request.request_id: not the one of the address")
    need_own(caller, body.request.person.user_id)
    return await parts.processor.end(body)


@router.get(
    "/{request_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problems(404)},
    openapi_extra=CALLERS,
)
async def watch_run(request_id: UUID, request: Request, parts: PartsDep, caller: CallerDep) -> StreamingResponse:
    """`status`, `delta`, `reset`, `tool`, `confirm`, and at last `answer` (an AgentResponse). `Last-Event-ID` resumes.

    A run that has just been accepted may still be on its way: it is waited for, for 5 s."""
    need_own(caller, await owner_of(parts, request_id, within_s=ARRIVES_WITHIN_S))
    events = stream(parts, request_id, request.headers.get("last-event-id", ""))
    return StreamingResponse(events, media_type="text/event-stream")


async def owner_of(parts: Parts, request_id: UUID, *, within_s: float = 0.0) -> UUID:
    """Raises NotFound."""
    give_up_at = time.monotonic() + within_s
    while True:
        row = await intake.view(parts.database, request_id)
        if row is not None:
            user_id: UUID = row["user_id"]
            return user_id
        if time.monotonic() >= give_up_at:
            raise NotFound
        await asyncio.sleep(0.1)


async def stream(parts: Parts, request_id: UUID, last_event_id: str) -> AsyncIterator[bytes]:
    """The run's events from `last_event_id` on, until its end; a sign of life in silence."""
    attempt, n = place_of(last_event_id)
    status, quiet_since, watched_at = "", time.monotonic(), 0.0
    with parts.live.watching(request_id) as news:
        while True:
            if time.monotonic() - watched_at > RENEW_WATCH_S:
                await live.watch(parts.database, request_id, parts.live.worker)
                watched_at = time.monotonic()
            news.clear()
            seen = await _seen(parts, request_id, attempt, n)
            if seen is not None and seen.answer is None and seen.state != status:
                status = seen.state
                yield ServerSentEvent("status", orjson.dumps(_status(seen)).decode()).encode()
            for event in joined(seen.events) if seen else ():
                attempt, n, quiet_since = event.attempt, event.n, time.monotonic()
                yield ServerSentEvent(event.event, orjson.dumps(event.data).decode(), event.id).encode()
            if seen is not None and seen.answer is not None:
                yield ServerSentEvent("answer", seen.answer.decode()).encode()
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), timeout=LOOK_EVERY_S)
            if time.monotonic() - quiet_since > HEARTBEAT_S:
                quiet_since = time.monotonic()
                yield HEARTBEAT


def _status(seen: Seen) -> dict[str, str | None]:
    return {"status": "accepted" if seen.state == "waiting" else seen.state, "agent": seen.agent}


async def _seen(parts: Parts, request_id: UUID, attempt: int, n: int) -> Seen | None:
    try:
        return await live.read(parts.database, request_id, attempt, n)
    except Unavailable:
        log.warning("run_events_not_read")
        return None
