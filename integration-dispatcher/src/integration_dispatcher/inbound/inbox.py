"""What comes in: recorded before its provider is told so, then worked on, in order within a conversation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from shared_models.batching import Batcher
from shared_models.database import Database
from shared_models.faults import fault
from shared_models.logging import get_logger
from shared_models.notifier import Notifier
from shared_models.pause import Pause
from shared_models.telemetry import current_traceparent, span
from shared_models.work_item import Completed, GiveUp, RetryPolicy, WorkItem
from shared_models.work_queue import WorkQueue

from integration_dispatcher.inbound.base import InboundProcessor
from integration_dispatcher.inbound.processors import Processors
from integration_dispatcher.store import inbound as store
from integration_dispatcher.store.inbound import InboundEvent, NewInbound
from integration_dispatcher.store.names import INBOUND

DOOR_CONNECTIONS = 2
# An hour or so: after that nobody waits for the answer to a chat message any more.
RETRIES = RetryPolicy(attempts=75, base_s=0.5, cap_s=100.0)

log = get_logger(__name__)


class Inbox:
    """`queue` is this process's part of the work; it is started and stopped with the others."""

    def __init__(
        self, database: Database, worker_id: str, notifier: Notifier, processors: Processors, *, concurrency: int = 64
    ) -> None:
        self._database = database
        self._door = database
        self._record = Batcher(self._record_all, key=lambda arrived: arrived.new.conversation)
        self._worker_id = worker_id
        self._notifier = notifier
        self._processors = processors
        self.queue = WorkQueue(
            database,
            worker_id,
            INBOUND,
            self.work,
            concurrency=concurrency,
            retry=RETRIES,
            on_dead=self._given_up,
            pause=Pause(),
        )

    async def receive(self, new: NewInbound) -> bool:
        """Record it: when this returns, the provider may be told that it was taken. False: it had come before.

        Raises Unavailable: nothing was recorded, as far as is known."""
        await fault("dispatcher.inbound.before_commit", new.dedupe_key)
        recorded = await self._record(store.Arrived(new, current_traceparent()))
        await fault("dispatcher.inbound.recorded", new.dedupe_key)
        return recorded.is_new

    @asynccontextmanager
    async def recording_by(self, database: Database) -> AsyncIterator[None]:
        """Record by connections of its own: a provider that gives us seconds does not wait for one behind the work of others."""
        await database.open()
        await asyncio.gather(*(store.warm_recording(database) for _ in range(DOOR_CONNECTIONS)))
        self._door = database
        try:
            yield
        finally:
            self._door = self._database
            await database.close()

    async def _record_all(self, events: list[store.Arrived]) -> list[store.Recorded]:
        """Their work is handed off here: whoever brought them may have gone meanwhile."""
        recorded = await store.record(self._door, events, worker=self.queue.lease())
        for each in recorded:
            if each.own is not None:
                self.queue.hand_off(each.own)
        if any(each.is_new and each.own is None for each in recorded):
            self._notifier.notify(INBOUND)
        return recorded

    async def work(self, item: WorkItem) -> Completed | None:
        """Run one row of the queue: an event, or the notice that one was given up."""
        with span("inbound", traceparent=str(item.payload.get("trace", ""))):
            event = await store.read(self._database, UUID(item.payload["inbound_id"]))
            if event is None:
                return None
            processor = self._processor(event)
            if item.payload.get("notice"):
                await processor.tell_given_up(event)
                return None
            return await self._process(event, processor, item)

    async def _process(self, event: InboundEvent, processor: InboundProcessor, item: WorkItem) -> Completed:
        if event.is_purged:
            raise GiveUp("its content was removed after its time")
        await fault("dispatcher.inbound.before_forward", event.dedupe_key)
        ended = await processor.process(event)
        await fault("dispatcher.inbound.forwarded", event.dedupe_key)
        return Completed(await store.end(self._database, event.id, ended, item, self._worker_id))

    def _processor(self, event: InboundEvent) -> InboundProcessor:
        processor = self._processors.get(event.provider)
        if processor is None:
            raise GiveUp(f"{event.provider} is not set up here any more")
        return processor

    async def _given_up(self, item: WorkItem, reason: str) -> None:
        log.error("inbound_given_up", provider=item.payload.get("integration"), cause=reason)
        await self.sweep()

    async def sweep(self) -> None:
        """Queue the notices of what has died, also of what died with its process."""
        if await store.give_up(self._database):
            self.wake()

    def wake(self) -> None:
        """Something was queued by a statement of its own."""
        self.queue.wake()
        self._notifier.notify(INBOUND)
