"""What the two outgoing queues do: hand a request over to agent-service, announce an end to the dispatcher.

A row carries only the request's id. Handed off in this process it brings the message along; claimed, it is read again."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from shared_models.database import Database
from shared_models.faults import fault
from shared_models.schemas import AgentResponse, NormalizedRequest
from shared_models.telemetry import span
from shared_models.work_item import Completed, RetryLater, WorkItem

from request_manager.domain.results import answer_of, normalized, trace_of
from request_manager.processor import ANSWER_KEY, REQUEST_KEY, TRACE_KEY, UnifiedRequestProcessor
from request_manager.store import requests as store
from request_manager.strategy import CommunicationStrategy
from request_manager.turns import Turns

HANDOVER_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Relay:
    """`running`: how many requests of one person may be at agent-service at once."""

    database: Database
    processor: UnifiedRequestProcessor
    strategy: CommunicationStrategy
    running: Turns

    async def hand_over(self, item: WorkItem) -> Completed | None:
        """The answer, if it comes back this way, completes the request and the row in one statement."""
        request, trace = item.payload.get(REQUEST_KEY), item.payload.get(TRACE_KEY, "")
        if not isinstance(request, NormalizedRequest):
            request, trace = await self._open_request(item)
        if request is None:
            return None
        with span("hand_over", traceparent=trace):
            return await self._bring(item, request)

    async def _bring(self, item: WorkItem, request: NormalizedRequest) -> Completed | None:
        if item.key is None:  # a question for the state, or a cancel: it must not wait for what it is about
            answer = await self._hand_over(request)
        else:
            async with self.running.of(request.person.user_id):
                answer = await self._hand_over(request)
        if answer is None:
            return None
        return await self.processor.complete(answer, announce=True, item=item)

    async def _hand_over(self, request: NormalizedRequest) -> AgentResponse | None:
        """Ask again as long as the run goes on: the row stays leased to this living process, no attempt is counted."""
        while True:
            try:
                await fault("request_manager.handover.before_send", request.request_id)
                async with asyncio.timeout(HANDOVER_TIMEOUT_S):
                    answer = await self.strategy.hand_over(request)
                await fault("request_manager.handover.sent", request.request_id)
                return answer
            except RetryLater as exc:
                if exc.counted:
                    raise
                await asyncio.sleep(exc.after_s or 0)

    async def announce(self, item: WorkItem) -> Completed | None:
        answer, trace = item.payload.get(ANSWER_KEY), item.payload.get(TRACE_KEY, "")
        if not isinstance(answer, AgentResponse):
            answer, trace = await self._answer(item)
        if answer is not None:
            with span("announce", traceparent=trace):
                await fault("request_manager.announce.before_send", answer.request_id)
                await self.strategy.announce(answer)
                await fault("request_manager.announce.sent", answer.request_id)
        return None

    async def _open_request(self, item: WorkItem) -> tuple[NormalizedRequest | None, str]:
        """The request and its trace. None when it has ended meanwhile: nothing is left to hand over."""
        stored = await store.request(self.database, UUID(item.ref))
        if stored is None or stored.result.ended_at is not None:
            return None, ""
        return normalized(stored), trace_of(stored)

    async def _answer(self, item: WorkItem) -> tuple[AgentResponse | None, str]:
        """None when the content is gone: nothing is left to tell."""
        stored = await store.request(self.database, UUID(item.ref))
        if stored is None or stored.result.ended_at is None or stored.result.purged_at is not None:
            return None, ""
        return answer_of(stored), trace_of(stored)
