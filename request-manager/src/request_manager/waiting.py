"""Waiting for the end of a request, whichever replica brings it about.

A waiter is registered before the request is inserted. It is woken by `resolve` in this process, by NOTIFY from another
one, and at the latest by a look at all waiting ids every 2 s."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from shared_models.logging import get_logger

from request_manager.domain.results import StoredResult

ENDED_CHANNEL = "ssa_ended"
LOOK_EVERY_S = 2.0

log = get_logger(__name__)

type Waiter = asyncio.Future[StoredResult]


class Waiting:
    """`look` returns the results of those of the given requests that have ended."""

    def __init__(self, look: Callable[[list[UUID]], Awaitable[list[StoredResult]]]) -> None:
        self._look = look
        self._waiters: dict[UUID, set[Waiter]] = {}
        self._asked: set[UUID] = set()
        self._wake = asyncio.Event()
        self._callers: set[Waiter] = set()
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="waiting")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def watched(self) -> frozenset[UUID]:
        """The requests that somebody in this process waits for."""
        return frozenset(self._waiters)

    @contextmanager
    def watch(self, request_id: UUID) -> Iterator[Waiter]:
        """A future that gets the result when the request ends."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(request_id, set()).add(waiter)
        try:
            yield waiter
        finally:
            waiters = self._waiters.get(request_id, set())
            waiters.discard(waiter)
            if not waiters:
                self._waiters.pop(request_id, None)

    async def within(self, waiter: Waiter, seconds: float) -> StoredResult | None:
        """The waiter's result if it comes in time; None as well when this process is about to stop."""
        if not waiter.done() and seconds > 0 and not self._is_stopping:
            self._callers.add(waiter)
            try:
                await asyncio.wait([waiter], timeout=seconds)
            finally:
                self._callers.discard(waiter)
        return waiter.result() if waiter.done() and not waiter.cancelled() else None

    def let_go(self) -> None:
        """The process is about to stop: callers who wait, now or from now on, are told at once how far their request is."""
        self._is_stopping = True
        for waiter in list(self._callers):
            waiter.cancel()

    def resolve(self, result: StoredResult) -> bool:
        """Wake the waiters of this process. False when there was none."""
        waiters = self._waiters.pop(result.request_id, None)
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(result)
        return bool(waiters)

    def on_notify(self, request_id: str) -> None:
        """Another process has ended a request."""
        try:
            key = UUID(request_id)
        except ValueError:
            return
        if key in self._waiters:
            self._asked.add(key)
            self._wake.set()

    def look_at_all(self) -> None:
        """Notifications may have been missed."""
        self._asked.update(self._waiters)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout=LOOK_EVERY_S)
            self._wake.clear()
            wanted = [key for key in (self._asked or self._waiters) if key in self._waiters]
            self._asked = set()
            if not wanted:
                continue
            try:
                for result in await self._look(wanted):
                    self.resolve(result)
            except Exception as exc:  # noqa: BLE001  # the loop outlives every error, a database that is away above all
                log.warning("look_for_ends_failed", cause=type(exc).__name__)
