"""What happens in a request, as server-sent events: agent-service's run events passed on, the end from our own row.

It works before the run is there and after the request has ended, and on any replica."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from shared_clients.agent_service import AgentServiceClient
from shared_clients.stream import HEARTBEAT, ServerSentEvent
from shared_models.enums import RequestStatus
from shared_models.errors import TooManyRequests, UpstreamRejected, UpstreamUnavailable

from request_manager.domain.results import StoredResult, result_bytes
from request_manager.processor import UnifiedRequestProcessor
from request_manager.waiting import Waiter

HEARTBEAT_S = 15.0
PASSED_ON = frozenset({"status", "delta", "tool", "confirm", "reset"})
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
REST_OF_RUN_S = 1.0
RETRY_S = 5.0
END_ID = "end"
MOST_PER_CALLER = 20


@dataclass(frozen=True)
class RequestStreams:
    """`open`: how many streams each caller reads. Each holds a connection to agent-service."""

    agents: AgentServiceClient
    processor: UnifiedRequestProcessor
    open: Counter[str] = field(default_factory=Counter)

    def check(self, caller_id: str) -> None:
        """Raises TooManyRequests."""
        if self.open[caller_id] >= MOST_PER_CALLER:
            raise TooManyRequests(f"At most {MOST_PER_CALLER} streams at once.", retry_after_s=RETRY_S)

    async def events(self, stored: StoredResult, last_event_id: str, caller_id: str) -> AsyncIterator[bytes]:
        """The stream of one request. `last_event_id` resumes: agent-service sends what came after it."""
        self.open[caller_id] += 1
        try:
            async for chunk in self._events(stored, last_event_id):
                yield chunk
        finally:
            self.open[caller_id] -= 1
            if not self.open[caller_id]:
                del self.open[caller_id]

    async def _events(self, stored: StoredResult, last_event_id: str) -> AsyncIterator[bytes]:
        if stored.ended_at is None:
            with self.processor.waiting.watch(stored.request_id) as waiter:
                # Registered, then read again: an end in between is not missed.
                ended = await self.processor.wait(stored.request_id, 0)
                if ended is None:
                    if not last_event_id:
                        yield _status(stored)
                    async for chunk in self._live(stored.request_id, last_event_id, waiter):
                        yield chunk
                    ended = waiter.result()
            stored = ended
        yield _end(stored)

    async def _live(self, request_id: UUID, last_event_id: str, waiter: Waiter) -> AsyncIterator[bytes]:
        """Run events until the request has ended; a sign of life in silence."""
        events: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
        reader = asyncio.create_task(self._read(request_id, last_event_id, events), name="run events")
        try:
            while not waiter.done():
                event = await _next(events, waiter)
                if event is not None:
                    yield event.encode()
                elif not waiter.done():
                    yield HEARTBEAT
            # The row has ended: what the run still had to say comes first.
            await asyncio.wait([reader], timeout=REST_OF_RUN_S)
            while not events.empty():
                yield events.get_nowait().encode()
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    async def _read(self, request_id: UUID, last_event_id: str, events: "asyncio.Queue[ServerSentEvent]") -> None:
        """Read the run's events to their end, again and again while the run is not there or the connection breaks."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async for event in self.agents.run_events(request_id, last_event_id):
                    pause_s, last_event_id = FIRST_PAUSE_S, event.id or last_event_id
                    if event.event in PASSED_ON:
                        events.put_nowait(event)
                return
            except (UpstreamRejected, UpstreamUnavailable):
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


async def _next(events: "asyncio.Queue[ServerSentEvent]", waiter: Waiter) -> ServerSentEvent | None:
    """The next event; None when the request has ended or nothing came for a while."""
    getting = asyncio.ensure_future(events.get())
    either: list[asyncio.Future[Any]] = [getting, waiter]
    await asyncio.wait(either, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
    if getting.done():
        return getting.result()
    getting.cancel()
    return None


def _status(stored: StoredResult) -> bytes:
    return ServerSentEvent("status", orjson.dumps({"status": stored.status}).decode()).encode()


def _end(stored: StoredResult) -> bytes:
    name = "answer" if stored.status is RequestStatus.COMPLETED else "error"
    return ServerSentEvent(name, result_bytes(stored).decode(), END_ID).encode()
