"""Group commit: while one statement is under way the next rows collect, then one statement takes them all."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from shared_models.errors import Unavailable
from shared_models.logging import get_logger

from local_stack.broker.store import New

MAX_ROWS = 256
MAX_BATCH_BYTES = 8 * 1024 * 1024
RETRY_PAUSE_S = 0.5
MAX_WAITING = 10_000
GATHER_S = 0.02

log = get_logger(__name__)


class Intake:
    """Stores new events. `stored` is called with each batch after its commit, in order; `unknown` after a failed one."""

    def __init__(
        self,
        insert: Callable[[list[New]], Awaitable[None]],
        stored: Callable[[list[New]], None],
        unknown: Callable[[], None],
    ) -> None:
        self._insert = insert
        self._stored = stored
        self._unknown = unknown
        self._waiting: deque[tuple[New, asyncio.Future[None]]] = deque()
        self._wake = asyncio.Event()
        self._under_way = 0
        self._last_id = 0

    @property
    def is_empty(self) -> bool:
        return not self._waiting and not self._under_way

    def start_after(self, last_id: int) -> None:
        self._last_id = last_id

    async def put(self, new: New) -> None:
        """Returns when the event is durable. Raises Unavailable: it may be stored or not, send it again."""
        if len(self._waiting) >= MAX_WAITING:
            raise Unavailable
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((new, done))
        self._wake.set()
        await done

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            batch = self._take()
            try:
                await self._insert([new for new, _ in batch])
            except Exception as exc:  # noqa: BLE001 - whatever went wrong, the senders must hear of it and try again
                log.warning("events_not_stored", count=len(batch), cause=type(exc).__name__)
                self._refuse(batch)
            else:
                self._stored([new for new, _ in batch])
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)
            self._under_way = 0

    def _take(self) -> list[tuple[New, asyncio.Future[None]]]:
        batch: list[tuple[New, asyncio.Future[None]]] = []
        size_bytes = 0
        while self._waiting and len(batch) < MAX_ROWS and size_bytes < MAX_BATCH_BYTES:
            new, done = self._waiting.popleft()
            self._last_id += 1
            new.id = self._last_id
            size_bytes += len(new.event.data)
            batch.append((new, done))
        if not self._waiting:
            self._wake.clear()
        self._under_way = len(batch)
        return batch

    def _refuse(self, batch: list[tuple[New, asyncio.Future[None]]]) -> None:
        self._unknown()
        for _, done in batch:
            if not done.done():
                done.set_exception(Unavailable())


class Completions:
    """Deletes what is delivered. Nobody waits for it: a row that outlives a crash is delivered once more."""

    def __init__(self, complete: Callable[[list[tuple[int, str]]], Awaitable[None]]) -> None:
        self._complete = complete
        self._waiting: list[tuple[int, str]] = []
        self._wake = asyncio.Event()
        self._under_way = False

    @property
    def is_empty(self) -> bool:
        return not self._waiting and not self._under_way

    def add(self, event_id: int, trigger: str) -> None:
        self._waiting.append((event_id, trigger))
        self._wake.set()

    async def run(self, changed: asyncio.Event) -> None:
        """`changed` is set after each batch."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_S)  # nobody waits for it, and one statement for many costs less
            batch, self._waiting = self._waiting, []
            self._wake.clear()
            self._under_way = True
            await self._write(batch)
            self._under_way = False
            changed.set()

    async def flush(self) -> None:
        """One last attempt at the end."""
        if self._waiting:
            with suppress(Unavailable):
                await self._complete(self._waiting)

    async def _write(self, batch: list[tuple[int, str]]) -> None:
        """Repeated until the database answers."""
        while True:
            try:
                return await self._complete(batch)
            except Exception as exc:  # noqa: BLE001 - the rows must go, whatever the database says now
                log.warning("completions_not_stored", count=len(batch), cause=type(exc).__name__)
                await asyncio.sleep(RETRY_PAUSE_S)
