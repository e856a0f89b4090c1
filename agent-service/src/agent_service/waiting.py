"""Callers that wait for the end of a run. Nothing is lost with this process: who asks again finds the saved answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from shared_models.errors import Unavailable
from shared_models.logging import get_logger

SWEEP_EVERY_S = 2.0

log = get_logger(__name__)

type Ended = Callable[[list[UUID]], Awaitable[dict[UUID, bytes]]]
"""The answers (JSON) of those of the runs that have ended."""
type Missing = Callable[[list[UUID]], Awaitable[list[UUID]]]
"""Those of the runs that are not there."""


class Waiters:
    """Woken by whoever ends a run in this process, by a notification of another one, and by a look every 2 s at all of them."""

    def __init__(self, ended: Ended, missing: Missing) -> None:
        self._ended = ended
        self._missing = missing
        self._may_miss = False
        self._inserted: set[UUID] = set()
        self._waiting: dict[UUID, set[asyncio.Future[bytes | None]]] = {}
        self._look = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._sweep(), name="waiters")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @contextmanager
    def waiting(self, request_id: UUID) -> Iterator[asyncio.Future[bytes | None]]:
        """A future of the run's answer; None: it is to be asked for again. Enter before the run is inserted, so that no end
        is missed."""
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request_id, set()).add(future)
        try:
            yield future
        finally:
            futures = self._waiting.get(request_id, set())
            futures.discard(future)
            if not futures:
                self._waiting.pop(request_id, None)
                self._inserted.discard(request_id)

    def inserted(self, request_id: UUID) -> None:
        """From now on the run is there, unless a crash takes it back."""
        self._inserted.add(request_id)

    def resolve(self, request_id: UUID, answer: bytes | None) -> bool:
        """Give the answer to all who wait here for it. True when there was somebody."""
        futures = self._waiting.pop(request_id, set())
        for future in futures:
            if not future.done():
                future.set_result(answer)
        return bool(futures)

    def look_again(self, request_id: UUID) -> None:
        """Read the rows now: this run may have ended elsewhere."""
        if request_id in self._waiting:
            self._look.set()

    def look_at_all(self) -> None:
        """Notifications may have been missed. And where the database crashed, runs whose start was not flushed are gone: who
        waits for one brings it again at once."""
        self._may_miss = True
        self._look.set()

    async def _sweep(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), timeout=SWEEP_EVERY_S)
            self._look.clear()
            if not self._waiting:
                self._may_miss = False
                continue
            try:
                await self._look_once(list(self._waiting))
            except Unavailable:
                log.warning("waiters_not_read")
            except Exception:
                log.exception("waiters_not_read")

    async def _look_once(self, waiting: list[UUID]) -> None:
        for request_id, answer in (await self._ended(waiting)).items():
            self.resolve(request_id, answer)
        if self._may_miss:
            missing = await self._missing(list(self._inserted))
            self._may_miss = False
            for request_id in missing:
                self.resolve(request_id, None)
