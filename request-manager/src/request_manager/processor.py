"""The one path of a request: accept, wait, complete. Whether it travels by HTTP or as an event is not known here."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from shared_models.batching import Batcher
from shared_models.database import Database
from shared_models.enums import RequestStatus
from shared_models.errors import IdempotencyConflict, NotFound, ServiceError, SessionEnded, Unavailable
from shared_models.faults import fault
from shared_models.logging import get_logger
from shared_models.notifier import Notifier
from shared_models.schemas import AgentResponse, NormalizedRequest
from shared_models.telemetry import REQUEST_DURATION, REQUESTS, current_traceparent
from shared_models.work_item import Completed, WorkItem
from shared_models.work_queue import WorkQueue

from request_manager.domain import limits as limit_rules
from request_manager.domain.limits import Limits
from request_manager.domain.normalizer import IncomingRequest
from request_manager.domain.results import StoredResult
from request_manager.pace import Pace
from request_manager.store import requests as store
from request_manager.store.accept import AcceptOutcome, Place, Verdict
from request_manager.store.requests import Completion, Ended
from request_manager.waiting import Waiting

REQUEST_KEY = "request"
ANSWER_KEY = "answer"
TRACE_KEY = "trace"

log = get_logger(__name__)


@dataclass(frozen=True)
class Accepted:
    """A request that is recorded for good: a new one, or the first with this idempotency key."""

    request_id: UUID
    session_id: UUID
    status: RequestStatus
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UnifiedRequestProcessor:
    """`requests` hands over to agent-service, `responses` announces ends to the dispatcher.

    `accepts` joins requests of the same moment into one statement, `completions` ends."""

    database: Database
    limits: Limits
    waiting: Waiting
    requests: WorkQueue
    responses: WorkQueue
    wake_others: Notifier
    tell_ended: Notifier
    worker_id: str
    accepts: Batcher[IncomingRequest, AcceptOutcome]
    completions: Batcher[Ended, Completion]
    pace: Pace
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def accept(self, request: IncomingRequest, *, is_awaited: bool = True) -> Accepted:
        """Record a request and queue it for the agent. A repeated idempotency key returns the first request.

        `is_awaited`: the caller waits for the answer. Raises IdempotencyConflict, NotFound, SessionEnded, TooManyRequests, Unavailable."""
        if trace := current_traceparent():
            request = replace(request, trace=trace)
        await fault("request_manager.accept.before_commit", request.request_id)
        outcome = await self.accepts(request)
        await fault("request_manager.accept.committed", request.request_id)
        headers = {}
        if outcome.load is not None:
            headers = limit_rules.headers(self.limits, outcome.load, self.now())
        if outcome.place is not None:
            self._hand_off(request, outcome.place, is_awaited=is_awaited)
            return Accepted(request.request_id, outcome.place.session_id, RequestStatus.ACCEPTED, headers)
        if outcome.repeat is None:
            raise self._refusal(request, outcome)
        if outcome.repeat.body_hash != request.body_hash:
            raise IdempotencyConflict
        return Accepted(outcome.repeat.request_id, outcome.repeat.session_id, outcome.repeat.status, headers)

    async def accept_and_wait(self, request: IncomingRequest, wait_s: float) -> tuple[Accepted, StoredResult | None]:
        """Accept, then wait for the end. None: it goes on."""
        with self.waiting.watch(request.request_id) as waiter:
            accepted = await self.accept(request, is_awaited=wait_s > 0)
            if accepted.request_id == request.request_id:
                return accepted, await self.waiting.within(waiter, wait_s)
        return accepted, await self.wait(accepted.request_id, wait_s)

    async def wait(self, request_id: UUID, wait_s: float) -> StoredResult | None:
        """The result when it is there within `wait_s`. Raises NotFound."""
        self.pace.wanted(str(request_id))
        with self.waiting.watch(request_id) as waiter:
            stored = await self.read(request_id)
            if stored.ended_at is not None:
                return stored
            return await self.waiting.within(waiter, wait_s)

    async def read(self, request_id: UUID) -> StoredResult:
        """The present state. Raises NotFound."""
        stored = await store.result(self.database, request_id)
        if stored is None:
            raise NotFound
        return stored

    async def complete(self, answer: AgentResponse, *, announce: bool, item: WorkItem | None = None) -> Completed:
        """Record an end, once: the first one stays. `announce`: nobody else brings it to the dispatcher."""
        await fault("request_manager.complete.before_commit", answer.request_id)
        done = await self.completions(Ended(answer, announce, item))
        await fault("request_manager.complete.committed", answer.request_id)
        if done.result is not None:
            self._ended(done.result, answer)
        if done.told is not None:
            self.responses.hand_off(replace(done.told, payload={ANSWER_KEY: answer, TRACE_KEY: current_traceparent()}))
        elif done.is_told_by_others:
            self.wake_others.notify(self.responses.name)
        return Completed(done.lane_pending)

    def _ended(self, result: StoredResult, answer: AgentResponse) -> None:
        if not self.waiting.resolve(result):
            self.tell_ended.notify(str(result.request_id))
        agent = answer.response.agent.name if answer.response is not None else ""
        integration, status = result.integration_type.value, result.status.value
        REQUESTS.labels(integration, agent, status).inc()
        REQUEST_DURATION.labels(integration, status).observe((result.processing_time_ms or 0) / 1000)
        log.info("request_ended", request_id=str(result.request_id), status=status, ms=result.processing_time_ms)

    def _hand_off(self, request: IncomingRequest, place: Place, *, is_awaited: bool) -> None:
        """Run the new row here if it is leased to us. Behind another row of its lane nobody can take it yet."""
        if place.item is not None:
            item = replace(place.item, payload={REQUEST_KEY: _placed(request, place), TRACE_KEY: request.trace})
            if is_awaited:
                self.requests.hand_off(item)
            else:
                self.pace.accepted(item)
        elif place.is_for_others:
            self.wake_others.notify(self.requests.name)

    def _refusal(self, request: IncomingRequest, outcome: AcceptOutcome) -> ServiceError:
        match outcome.verdict:
            case Verdict.LIMITED if outcome.load is not None:
                return limit_rules.refusal(self.limits, outcome.load, self.now())
            case Verdict.FOREIGN | Verdict.UNKNOWN_PERSON:
                return NotFound()
            case Verdict.CLOSING if request.session_id is None:
                return Unavailable("The conversation before this one is still being closed.")
            case _:
                return SessionEnded()


def _placed(request: IncomingRequest, place: Place) -> NormalizedRequest:
    return NormalizedRequest(
        request_id=request.request_id,
        session_id=place.session_id,
        sequence=place.sequence,
        person=place.person,
        integration_type=request.integration_type,
        request_type=request.request_type,
        content=request.content,
        conversation_key=place.conversation_key,
        named_session=request.session_id is not None,
        confirm=request.confirm,
        stream=request.stream,
        delivery=request.delivery,
        retry_of=request.retry_of,
        metadata=request.metadata,
        context=request.context,
        created_at=request.created_at,
        deadline_at=request.deadline_at,
    )
