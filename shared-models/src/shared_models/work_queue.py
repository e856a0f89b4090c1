"""Durable work: rows that are claimed, run, retried with jitter, given up and replayed. At least once, in order per key."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg
import structlog

from shared_models.batching import Batcher
from shared_models.causes import cause_of
from shared_models.database import Database
from shared_models.errors import ServiceError, Unavailable, UpstreamRejected, UpstreamUnavailable
from shared_models.logging import get_logger
from shared_models.pause import Pause
from shared_models.work_item import Completed, GiveUp, RetryLater, RetryPolicy, WorkItem
from shared_models.work_statements import (
    CLAIM_FIRST_ROWS,
    CLAIM_FREE_ROWS,
    CLAIM_LANES,
    COMPLETE,
    FAIL,
    FORGOTTEN,
    FREE_EMPTY_LANES,
    FREE_LANE,
    RELEASE,
)

POLL_S = 2.0
CLAIM_BATCH = 64
SUSPECT_LOST = 2
SUSPECTS_AT_ONCE = {2: 64, 3: 8}
"""By how often they were lost; above, one."""
SUSPECTS_WAIT_S = 10.0
STOP_WITHIN_S = 15.0
FORGOTTEN_AFTER_S = 15.0

log = get_logger(__name__)


class WorkQueue:
    """Runs the rows of one queue in this process, up to `concurrency` at a time.

    `handle` does the work. It returns Completed when its own statement has completed the row, else None; it raises
    RetryLater, GiveUp, or any error (retried, unless it is a ServiceError that is not retryable). `on_dead` hears of
    each row that was given up here. `timeout_s` None: `handle` sets its limits itself. `pause`: for a queue whose rows all go to one place, which may be away."""

    def __init__(
        self,
        database: Database,
        worker_id: str,
        queue: str,
        handle: Callable[[WorkItem], Awaitable[Completed | None]],
        *,
        concurrency: int = 64,
        retry: RetryPolicy | None = None,
        timeout_s: float | None = 120.0,
        on_dead: Callable[[WorkItem, str], Awaitable[None]] | None = None,
        forgotten_after_s: float = FORGOTTEN_AFTER_S,
        suspects_wait_s: float = SUSPECTS_WAIT_S,
        pause: Pause | None = None,
    ) -> None:
        self._database = database
        self._worker_id = worker_id
        self.name = queue
        self._handle = handle
        self._concurrency = concurrency
        self._retry = retry or RetryPolicy()
        self._timeout_s = timeout_s
        self._on_dead = on_dead
        self._forgotten_after_s = forgotten_after_s
        self._suspects_wait_s = suspects_wait_s
        self._pause = pause
        self._unknown: set[tuple[int | None, int | None, str | None]] = set()
        self._looked_at = time.monotonic()
        self._running: dict[int, tuple[WorkItem, asyncio.Task[None]]] = {}
        self._waiting: deque[WorkItem] = deque()
        self._suspects: list[WorkItem] = []
        self._completions = Batcher(self._complete, key=lambda item: item.id)
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._is_stopping = False

    def start(self) -> None:
        self._loop_task = asyncio.create_task(self._loop(), name=f"queue {self.name}")

    async def stop(self, *, finish_within_s: float = 0.0) -> None:
        """Take nothing new, let what runs finish for a while, stop the rest and give its rows back without counting them."""
        self._is_stopping = True
        if self._loop_task is not None:
            self._loop_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop_task
        if self._running and finish_within_s > 0:
            await asyncio.wait([task for _, task in self._running.values()], timeout=finish_within_s)
        running = list(self._running.values())
        for _, task in running:
            task.cancel()
        if running:
            await asyncio.wait([task for _, task in running], timeout=STOP_WITHIN_S)
        for item in [*(item for item, _ in running), *self._waiting, *self._suspects]:
            with suppress(Unavailable):
                await self._database.execute(RELEASE, item.id, item.claim, self._worker_id)

    @property
    def is_idle(self) -> bool:
        return not self._running and not self._waiting and not self._suspects

    def lease(self) -> str | None:
        """The worker to write into a new row: this one while it has room, else nobody."""
        has_room = len(self._running) < self._concurrency and not self._suspects and not self._is_stopping
        has_room = has_room and not (self._pause is not None and self._pause.is_on)
        return self._worker_id if has_room and self._loop_task is not None else None

    def hand_off(self, item: WorkItem) -> None:
        """Run a row that was inserted with this worker's lease: now, or as soon as there is room."""
        if len(self._running) < self._concurrency:
            self._launch(item)
        else:
            self._waiting.append(item)

    def wake(self) -> None:
        """Look for due rows now."""
        self._wake.set()

    def wake_soon(self) -> None:
        """Another process has queued something: look within 50 ms, not in step with the other replicas."""
        self._wake_after(random.random() * 0.05)  # noqa: S311  # no secret

    async def _loop(self) -> None:
        while True:
            try:
                while await self._claim_some():
                    pass
                if time.monotonic() - self._looked_at >= self._forgotten_after_s:
                    await self._free_forgotten()
            except Exception as exc:  # noqa: BLE001  # the loop outlives every error, a database that is away above all
                log.warning("claim_failed", queue=self.name, cause=type(exc).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout=POLL_S * (0.75 + random.random() / 2))  # noqa: S311
            self._wake.clear()

    async def _claim_some(self) -> bool:
        """Claim up to the free room. True when there may be more."""
        if self._suspects:
            await self._run_suspects()
        room = min(self._concurrency - len(self._running), CLAIM_BATCH)
        if self._pause is not None:
            room = self._pause.room(room, len(self._running))
        if room <= 0:
            return False
        rows = await self._database.fetch(CLAIM_FREE_ROWS, self.name, room, self._worker_id)
        rows += await self._claim_lanes(room - len(rows)) if len(rows) < room else []
        for row in rows:
            self._take(_item(row))
        return len(rows) >= room or bool(self._suspects)

    async def _claim_lanes(self, room: int) -> list[asyncpg.Record]:
        keys = [row["key"] for row in await self._database.fetch(CLAIM_LANES, self.name, room, self._worker_id)]
        if not keys:
            return []
        rows = await self._database.fetch(CLAIM_FIRST_ROWS, self.name, keys, self._worker_id)
        empty = list(set(keys) - {row["key"] for row in rows})
        if empty:
            await self._database.execute(FREE_EMPTY_LANES, self.name, empty, self._worker_id)
        return rows

    async def _free_forgotten(self) -> None:
        """Give back what two looks in a row have found leased to this worker and unknown to it."""
        known = [*(item for item, _ in self._running.values()), *self._waiting, *self._suspects]
        ids, keys = [item.id for item in known], [item.key for item in known if item.key is not None]
        rows = await self._database.fetch(FORGOTTEN, self.name, self._worker_id, ids, keys)
        unknown = {(row["id"], row["claim"], row["key"]) for row in rows}
        for item_id, claim, key in unknown & self._unknown:
            log.warning("freed_forgotten_lease", queue=self.name, work_item=item_id)
            if item_id is not None:
                await self._database.execute(RELEASE, item_id, claim, self._worker_id)
            else:
                await self._database.execute(FREE_LANE, self.name, key, self._worker_id)
            self.wake()
        self._unknown, self._looked_at = unknown, time.monotonic()

    def _take(self, item: WorkItem) -> None:
        if item.lost >= SUSPECT_LOST:
            self._suspects.append(item)
        else:
            self.hand_off(item)

    async def _run_suspects(self) -> None:
        """Rows that may have killed their workers run with none of the others beside them.

        The more often they were lost, the fewer of them at once: who was only near a killer comes out of it in time, and
        many that were lost in one crash do not have to wait for each other. What takes long is not waited for without end."""
        lost = max(item.lost for item in self._suspects)
        group = [item for item in self._suspects if item.lost == lost][: SUSPECTS_AT_ONCE.get(lost, 1)]
        for item in self._suspects:
            if item not in group:
                await self._database.execute(RELEASE, item.id, item.claim, self._worker_id)
        self._suspects = group
        with suppress(TimeoutError):
            async with asyncio.timeout(self._suspects_wait_s):
                while self._running:
                    await asyncio.wait([task for _, task in self._running.values()])
                    await asyncio.sleep(0)
        await asyncio.wait([self._launch(item) for item in group], timeout=self._suspects_wait_s)
        self._suspects = []

    def _launch(self, item: WorkItem) -> asyncio.Task[None]:
        task = asyncio.create_task(self._run(item), name=f"{self.name} {item.id}")
        self._running[item.id] = (item, task)
        task.add_done_callback(lambda _task: self._finished(item))
        return task

    def _finished(self, item: WorkItem) -> None:
        was_full = len(self._running) >= self._concurrency
        self._running.pop(item.id, None)
        if self._waiting and not self._is_stopping:
            self._launch(self._waiting.popleft())
        elif was_full:
            self.wake()

    async def _run(self, item: WorkItem) -> None:
        with structlog.contextvars.bound_contextvars(work_item=item.id, queue=self.name, ref=item.ref):
            try:
                async with asyncio.timeout(self._timeout_s):
                    done = await self._handle(item)
                pending = done.lane_pending if done else await self._completions(item)
                if pending > 0:
                    self.wake()
                self._heard_of_destination(None)
            except Exception as exc:  # noqa: BLE001  # whatever a handler raises is written on its row
                await self._fail(item, exc)

    async def _complete(self, items: list[WorkItem]) -> list[int]:
        """Delete finished rows. Returns how many rows are left in the lane of each."""
        ids, claims = [item.id for item in items], [item.claim for item in items]
        rows = await self._database.fetch(COMPLETE, ids, claims, self._worker_id)
        pending = {row["item"]: row["pending"] for row in rows}
        return [pending[item.id] for item in items]

    async def _fail(self, item: WorkItem, error: Exception) -> None:
        """Write the failure down. If even that fails, the lease runs out with this worker, or the next poll repeats it."""
        reason = cause_of(error, is_named=not isinstance(error, RetryLater | GiveUp))
        counted = not (isinstance(error, RetryLater) and not error.counted)
        is_final = isinstance(error, GiveUp) or (isinstance(error, ServiceError) and not error.retryable)
        is_dead = is_final or (counted and item.attempts + 1 >= self._retry.attempts)
        delay_s = self._delay_s(item, error)
        if not isinstance(error, ServiceError | RetryLater | GiveUp):
            log.exception("work_failed", attempts=item.attempts + 1, exc_info=error)
        elif counted:
            log.warning("work_failed", attempts=item.attempts + 1, cause=reason, is_dead=is_dead)
        while True:
            try:
                await self._database.execute(
                    FAIL, item.id, item.claim, self._worker_id, int(counted), reason, delay_s, is_dead
                )
                break
            except Unavailable:
                await asyncio.sleep(1)
        if is_dead and self._on_dead is not None:
            try:
                await self._on_dead(item, reason)
            except Exception:
                log.exception("dead_letter_hook_failed")
        self._wake_after(delay_s)
        self._heard_of_destination(error)

    def _heard_of_destination(self, error: Exception | None) -> None:
        """A refusal is an answer as well: whoever gives it is there."""
        if self._pause is None:
            return
        if isinstance(error, UpstreamUnavailable):
            self._wake_after(self._pause.failed(error.retry_after_s))
        elif (error is None or isinstance(error, UpstreamRejected)) and self._pause.succeeded():
            self.wake()

    def _delay_s(self, item: WorkItem, error: Exception) -> float:
        if isinstance(error, RetryLater) and error.after_s is not None:
            return error.after_s
        backoff_s = self._retry.delay_s(item.attempts)
        asked_s = error.retry_after_s if isinstance(error, ServiceError) else None
        return max(backoff_s, asked_s or 0.0)

    def _wake_after(self, delay_s: float) -> None:
        asyncio.get_running_loop().call_later(delay_s, self.wake)


def _item(row: asyncpg.Record) -> WorkItem:
    return WorkItem(**dict(row))
