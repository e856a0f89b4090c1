"""Ends without an answer: cancel, deadline, undeliverable, closed conversation.

agent-service's run row is the only judge, so each end is asked for there and its verdict copied. The asking is a row of
its own queue: it waits for agent-service when that is away."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from shared_clients.agent_service import AgentServiceClient
from shared_models.database import Database
from shared_models.enums import RequestStatus
from shared_models.errors import Unavailable, UpstreamRejected, UpstreamUnavailable
from shared_models.faults import fault
from shared_models.logging import get_logger
from shared_models.notifier import Notifier
from shared_models.schemas import EndRun
from shared_models.work_item import GiveUp, RetryLater, WorkItem
from shared_models.work_queue import WorkQueue

from request_manager.domain.ends import STATUS, EndReason, error_of
from request_manager.domain.results import StoredRequest, ended_by_us, normalized
from request_manager.processor import UnifiedRequestProcessor
from request_manager.store import requests as store
from request_manager.store import sessions, upkeep

ASK_AGAIN_S = 2.0
RUN_LOOK_S = 5.0
SWEEP_EVERY_S = 15.0
NOT_FOUND = 404
ENDED_WITHOUT_JUDGE = (EndReason.EXPIRED, EndReason.UNDELIVERABLE)
TRIES_OF_OVERDUE = 40
"""Some ten minutes of agent-service being away: who has waited until the deadline is not left without a word for longer."""

log = get_logger(__name__)


@dataclass(frozen=True)
class Ends:
    """`queue` runs `handle`."""

    database: Database
    agents: AgentServiceClient
    processor: UnifiedRequestProcessor
    queue: WorkQueue
    wake_others: Notifier
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def ask(self, request_id: UUID, reason: EndReason) -> None:
        """Record that an end is wanted; it is asked for at once, or when agent-service is back."""
        worker = self.queue.lease()
        item = await store.wish_end(self.database, request_id, reason, worker)
        self._run(item, worker)

    async def close_session(self, session_id: UUID) -> None:
        """Take no more requests for a conversation, end those that are open, then close it at agent-service."""
        worker = self.queue.lease()
        item = await sessions.close(self.database, session_id, worker)
        self._run(item, worker)

    def _run(self, item: WorkItem | None, worker: str | None) -> None:
        if item is not None:
            self.queue.hand_off(item)
        elif worker is None:
            self.wake_others.notify(self.queue.name)

    async def handle(self, item: WorkItem) -> None:
        if item.payload.get("close"):
            await self._close(UUID(item.ref))
            return
        reason = EndReason(item.payload["reason"])
        try:
            await self._end(UUID(item.ref), reason)
        except UpstreamUnavailable as exc:
            if reason in ENDED_WITHOUT_JUDGE and item.attempts + 1 >= TRIES_OF_OVERDUE:
                raise GiveUp(str(exc)) from exc
            raise

    async def _end(self, request_id: UUID, reason: EndReason) -> None:
        """Raises RetryLater while the run has been asked to end and has not, and while its answer would overtake another."""
        stored = await self._open(request_id)
        if stored is None:
            return
        if reason is EndReason.UNDELIVERABLE and await self._has_run(request_id):
            raise RetryLater("it was brought there after all, and its run goes on", after_s=RUN_LOOK_S, counted=False)
        wish = EndRun(status=STATUS[reason], error=error_of(reason), request=normalized(stored))
        await fault("request_manager.end.before_ask", request_id)
        view = await self.agents.end_run(wish)
        await fault("request_manager.end.asked", request_id)
        if view.answer is None:
            raise RetryLater("the run has not ended yet", after_s=ASK_AGAIN_S, counted=False)
        if view.answer.status is RequestStatus.COMPLETED and await store.is_one_before_open(self.database, stored):
            # It was answered before it could be ended; as an event, this answer is on its way behind that of the one before.
            raise RetryLater("the answer before it has not come yet", after_s=ASK_AGAIN_S, counted=False)
        await self.processor.complete(view.answer, announce=True)

    async def _has_run(self, request_id: UUID) -> bool:
        """Whether a run is at work, which ends by itself. A run that has ended tells its end when it is asked for one."""
        try:
            view = await self.agents.run(request_id)
        except UpstreamRejected as exc:
            if exc.upstream_status != NOT_FOUND:
                raise
            return False
        return view.answer is None

    async def _close(self, session_id: UUID) -> None:
        for request_id in await store.open_requests(self.database, session_id):
            await self._end(request_id, EndReason.SESSION_CLOSED)
        try:
            await self.agents.close_session(session_id)
        except UpstreamRejected as exc:
            if exc.upstream_status != NOT_FOUND:  # no run has ever reached it: nothing to close there
                raise
        await sessions.mark_closed(self.database, session_id)

    async def _open(self, request_id: UUID) -> StoredRequest | None:
        stored = await store.request(self.database, request_id)
        return stored if stored is not None and stored.result.ended_at is None else None

    async def on_dead(self, item: WorkItem, _reason: str) -> None:
        """agent-service could not be asked for long. What is overdue ends without it; a cancel waits for the deadline."""
        if item.payload.get("close"):
            await sessions.mark_closed(self.database, UUID(item.ref))
        reason = item.payload.get("reason")
        if reason not in ENDED_WITHOUT_JUDGE:
            return
        stored = await self._open(UUID(item.ref))
        if stored is not None:
            wish = EndReason(reason)
            answer = ended_by_us(normalized(stored), STATUS[wish], error_of(wish), self.now())
            await self.processor.complete(answer, announce=True)

    async def sweep(self) -> None:
        """Ask for the ends that are due, and clear what has had its time. One replica at a time does it."""
        queued = await upkeep.sweep(self.database)
        if queued:
            log.warning("ends_due", requests=queued)
            self.queue.wake()
        if queued is not None:
            await self._end_dead()

    async def _end_dead(self) -> None:
        """`on_dead` is not heard of a row whose workers died, nor when its own process dies just then."""
        for item in await upkeep.dead_ends(self.database):
            try:
                await self.on_dead(item, "")
            except Exception:
                log.exception("dead_end_not_ended", work_item=item.id)

    async def sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except Unavailable:
                log.warning("sweep_skipped", cause="database")
            except Exception:
                log.exception("sweep_failed")
            await asyncio.sleep(SWEEP_EVERY_S)
