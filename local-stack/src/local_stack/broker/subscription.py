"""One trigger at work: its deliveries in memory, in lanes, and the rest of them in the database.

A lane is a partition key of an ordered trigger: one delivery at a time, waiting through its retries. Without order, or
without a key, each delivery is a lane of its own."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared_models.faults import fault
from shared_models.logging import get_logger

from local_stack.broker.courier import Courier, Publish
from local_stack.broker.manifests import Trigger
from local_stack.broker.rules import dead_letter
from local_stack.broker.store import Stored
from local_stack.broker.wire import Event

MAX_HELD = 2000
MAX_HELD_BYTES = 32 * 1024 * 1024
PORTION = 200
RETRY_PAUSE_S = 0.5

log = get_logger(__name__)


@dataclass(frozen=True)
class Edges:
    """What a subscription asks of the broker. `load(trigger, after id, limit)` reads rows; `done(event id, trigger)` is called
    for each delivery that is over; `publish` takes a reply; `changed` is set when a subscription may have become idle."""

    load: Callable[[str, int, int], Awaitable[list[Stored]]]
    done: Callable[[int, str], None]
    publish: Publish
    changed: asyncio.Event


class Subscription:
    """Deliveries of one trigger. Beyond MAX_HELD they stay in the database and are loaded by portions, in order."""

    def __init__(self, trigger: Trigger, courier: Courier, edges: Edges) -> None:
        self.trigger = trigger
        self._courier = courier
        self._edges = edges
        self._lanes: dict[str, deque[Stored]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0
        self._held_bytes = 0
        self._taken_through = 0
        self._is_behind = False
        self._has_missed = False
        self._refill: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        return not self._held and not self._is_behind

    @property
    def held(self) -> int:
        return self._held

    def fall_behind(self) -> None:
        """There may be rows that this process has not seen: read them from the database."""
        self._is_behind = True
        self._has_missed = True
        self._refill_if_there_is_room()

    def admit(self, stored: Stored) -> None:
        """Take a delivery that has just been stored; called in the order of the ids."""
        if self._is_behind or self._is_full:
            self.fall_behind()
        else:
            self._take(stored)

    async def close(self) -> None:
        tasks = [*self._tasks, *([self._refill] if self._refill else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _is_full(self) -> bool:
        return self._held >= MAX_HELD or self._held_bytes >= MAX_HELD_BYTES

    def _take(self, stored: Stored) -> None:
        self._taken_through = stored.id
        self._held += 1
        self._held_bytes += len(stored.event.data)
        key = stored.event.attributes.get("partitionkey") if self.trigger.is_ordered else None
        lane = self._lanes.get(key) if key is not None else None
        if lane is not None:
            lane.append(stored)
            return
        lane = deque([stored])
        if key is not None:
            self._lanes[key] = lane
        task = asyncio.create_task(self._run(key, lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, key: str | None, lane: deque[Stored]) -> None:
        while lane:
            await self._deliver(lane[0])
            await fault("local_broker.event.delivered", lane[0].event.attributes["id"])
            stored = lane.popleft()
            if not lane and key is not None:
                del self._lanes[key]
            self._held -= 1
            self._held_bytes -= len(stored.event.data)
            if self._is_behind:
                self._refill_if_there_is_room()
            self._edges.done(stored.id, self.trigger.name)

    async def _deliver(self, stored: Stored) -> None:
        while True:
            try:
                await self._once(stored.event)
            except Exception:
                log.exception("delivery_broke", trigger=self.trigger.name)
                await asyncio.sleep(RETRY_PAUSE_S)
            else:
                return

    async def _once(self, event: Event) -> None:
        trigger, courier = self.trigger, self._courier
        policy = trigger.policy
        failure = await courier.carry(event, trigger.subscriber, policy, trigger.namespace, self._edges.publish)
        if failure is None:
            courier.counts["delivered"] += 1
            return
        fields = {"trigger": trigger.name, "event_id": event.attributes["id"], "status": failure.answer.status}
        if policy.dead_letter is not None:
            letter = dead_letter(event, failure)
            if not await courier.carry(letter, policy.dead_letter, policy, trigger.namespace, self._edges.publish):
                courier.counts["dead_letters"] += 1
                log.warning("event_dead_lettered", **fields)
                return
        courier.counts["dropped"] += 1
        log.warning("event_dropped", **fields)

    def _refill_if_there_is_room(self) -> None:
        if self._held <= MAX_HELD // 2 and self._held_bytes <= MAX_HELD_BYTES // 2 and self._refill is None:
            self._refill = asyncio.create_task(self._load_portion())

    async def _load_portion(self) -> None:
        self._has_missed = False
        try:
            rows = await self._edges.load(self.trigger.name, self._taken_through, PORTION)
        except Exception as exc:  # noqa: BLE001 - the rows stay where they are; look again
            log.warning("rows_not_loaded", trigger=self.trigger.name, cause=type(exc).__name__)
            await asyncio.sleep(RETRY_PAUSE_S)
            self._refill = None
            self.fall_behind()
            return
        for stored in rows:
            self._take(stored)
        self._refill = None
        if len(rows) == PORTION or self._has_missed:
            self._refill_if_there_is_room()
        else:
            self._is_behind = False
            self._edges.changed.set()
