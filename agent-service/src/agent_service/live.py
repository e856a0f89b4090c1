"""What a run tells those who watch it while it is at work. Kept only while somebody watches, or was promised to."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import asyncpg
from shared_models.database import Database
from shared_models.errors import Unavailable
from shared_models.logging import get_logger

from agent_service.domain.run_events import RunEvent
from agent_service.domain.turn import clean
from agent_service.store import live

JOIN_S = 0.15
JOIN_CHARS = 200

log = get_logger(__name__)


class LiveRuns:
    """Who watches which run in this process. `tell_others(id)` wakes the watchers in other processes."""

    def __init__(self, database: Database, worker: str, tell_others: Callable[[UUID], None]) -> None:
        self.database = database
        self.worker = worker
        self.tell_others = tell_others
        self._watchers: dict[UUID, set[asyncio.Event]] = {}

    def is_watched(self, request_id: UUID) -> bool:
        return request_id in self._watchers

    def wake(self, request_id: UUID) -> None:
        for watcher in self._watchers.get(request_id, ()):
            watcher.set()

    def wake_all(self) -> None:
        for request_id in self._watchers:
            self.wake(request_id)

    @contextmanager
    def watching(self, request_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set when there is something new to read."""
        watcher = asyncio.Event()
        self._watchers.setdefault(request_id, set()).add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[request_id].discard(watcher)
            if not self._watchers[request_id]:
                del self._watchers[request_id]


class Publisher:
    """The events of one attempt of a run. A failure to keep them is logged and harms nobody: the answer is a row."""

    def __init__(self, runs: LiveRuns, request_id: UUID, attempt: int, *, is_wanted: bool) -> None:
        self._runs = runs
        self._request_id = request_id
        self._attempt = attempt
        self._n = 0
        self._events: list[RunEvent] = []
        self._text = ""
        self._has_text = False
        self._flushed_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self.is_wanted = is_wanted

    @property
    def is_watched(self) -> bool:
        """Somebody watches here or elsewhere, or asked for a stream."""
        return self.is_wanted or self._runs.is_watched(self._request_id)

    async def emit(self, event: str, data: dict[str, Any]) -> None:
        if self.is_watched:
            self._add(event, data)
            await self.flush()

    async def delta(self, text: str) -> None:
        """Text of the model as it comes: joined for 150 ms or 200 characters."""
        self._text += clean(text)
        self._has_text = True
        waited_s = time.monotonic() - self._flushed_at
        if waited_s >= JOIN_S or len(self._text) >= JOIN_CHARS:
            await self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(JOIN_S - waited_s, self._flush_later)

    async def reset(self) -> None:
        """The text so far was no part of the answer."""
        self._text = ""
        if self._has_text or (self._attempt > 1 and self._n == 0):
            self._has_text = False
            await self.emit("reset", {})

    async def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        async with self._lock:
            if self._text:
                text, self._text = self._text, ""
                self._add("delta", {"text": text})
            events, self._events = self._events, []
            if events:
                await self._keep(events)

    async def close(self) -> None:
        """Nothing more comes; what is joined so far is kept."""
        if self._task is not None:
            await self._task
        await self.flush()

    def _add(self, event: str, data: dict[str, Any]) -> None:
        if self._text and event != "delta":
            text, self._text = self._text, ""
            self._add("delta", {"text": text})
        self._n += 1
        self._events.append(RunEvent(self._attempt, self._n, event, data))

    def _flush_later(self) -> None:
        self._timer = None
        self._task = asyncio.create_task(self.flush(), name=f"deltas {self._request_id}")

    async def _keep(self, events: list[RunEvent]) -> None:
        self._flushed_at = time.monotonic()
        try:
            if await live.append(self._runs.database, self._request_id, events, self._runs.worker):
                self._runs.tell_others(self._request_id)
        except (Unavailable, asyncpg.PostgresError) as exc:
            log.warning("run_events_lost", cause=type(exc).__name__)
        self._runs.wake(self._request_id)
