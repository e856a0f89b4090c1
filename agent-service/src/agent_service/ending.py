"""The end of a run, decided by one compare-and-set, and telling those who wait for it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared_models.database import Database
from shared_models.enums import RequestStatus
from shared_models.errors import Unavailable
from shared_models.events import EventBuilder
from shared_models.faults import fault
from shared_models.logging import get_logger
from shared_models.notifier import Notifier
from shared_models.schemas import AgentResponse, ErrorInfo, NormalizedRequest
from shared_models.telemetry import REQUEST_DURATION, REQUESTS, current_traceparent
from shared_models.work_item import Completed
from shared_models.work_queue import WorkQueue

from agent_service.domain import answers
from agent_service.domain.answers import Reply
from agent_service.domain.ports import Item
from agent_service.live import LiveRuns
from agent_service.run import Run, start_again
from agent_service.store import finish, intake
from agent_service.store.finish import SAME_CONVERSATION, Claim, End, Finish
from agent_service.waiting import Waiters

FINISH_TRIES = 6
NO_EVENT = b"{}"

log = get_logger(__name__)


class Clocks:
    """The time limits of the runs at work here. Stopping a run ends its time at once."""

    def __init__(self) -> None:
        self._clocks: dict[UUID, asyncio.Timeout] = {}
        self._stopped: set[UUID] = set()

    def start(self, request_id: UUID, clock: asyncio.Timeout) -> None:
        self._clocks[request_id] = clock

    def forget(self, request_id: UUID) -> bool:
        """True when the run was stopped, rather than late."""
        self._clocks.pop(request_id, None)
        was_stopped = request_id in self._stopped
        self._stopped.discard(request_id)
        return was_stopped

    def stop(self, request_id: UUID) -> bool:
        """True when the run was at work here."""
        clock = self._clocks.get(request_id)
        if clock is None or clock.expired():
            return False
        self._stopped.add(request_id)
        clock.reschedule(asyncio.get_running_loop().time())
        return True


@dataclass(frozen=True)
class Ending:
    """`notify` tells other processes that a run has ended."""

    database: Database
    worker: str
    events: WorkQueue
    builder: EventBuilder
    waiters: Waiters
    live: LiveRuns
    clocks: Clocks
    notify: Notifier
    now: Callable[[], datetime]

    async def complete(self, run: Run, reply: Reply, conversation_id: str | None) -> Completed:
        """The run has its answer. `conversation_id`: of the model server's copy that holds this turn, if there is one."""
        answer = answers.completed(run.request, reply, now=self.now())
        done = Finish(
            attempt=run.attempt,
            session_id=run.begun.session_id,
            said=[
                message("user", run.request.content),
                message("assistant", reply.text, reply.agent.name, run.turn.items or None),
            ],
            steps=run.unsaved,
            agent=reply.agent,
            usage=run.turn.usage,
            conversation_id=conversation_id,
            outcomes=run.turn.outcomes,
            asked=reply.asked,
        )
        return await self._finish(run, answer, done)

    async def complete_command(self, run: Run, reply: Reply, *, ends_session: bool) -> Completed:
        """A command was answered, perhaps beside a running turn: of the session only what it changes is written."""
        answer = answers.completed(run.request, reply, now=self.now(), session_ended=ends_session)
        done = Finish(
            attempt=run.attempt,
            session_id=run.begun.session_id,
            agent=reply.agent if ends_session else None,
            conversation_id=SAME_CONVERSATION,
            ends_session=ends_session,
        )
        return await self._finish(run, answer, done)

    async def fail(self, run: Run, status: RequestStatus, error: ErrorInfo) -> Completed:
        """The run ends without an answer; the person reads the error's words."""
        answer = answers.ended(run.request, status, error, now=self.now())
        done = Finish(
            attempt=run.attempt,
            session_id=run.begun.session_id,
            said=[message("user", run.request.content), message("assistant", error.message)],
            steps=run.unsaved,
            usage=run.turn.usage,
            outcomes=run.turn.outcomes,
        )
        return await self._finish(run, answer, done)

    async def _finish(self, run: Run, answer: AgentResponse, done: Finish) -> Completed:
        await run.publisher.close()
        if done.asked is not None:
            await run.publisher.emit("confirm", done.asked.view().model_dump(mode="json"))
        body = answer.model_dump_json().encode()
        event = self.event_of(answer) if run.begun.reply_by == "event" else NO_EVENT
        await fault("agent_service.finish.before_commit", run.id)
        finished = await self._persistently(run, done, End(answer.status.value, body, event))
        await fault("agent_service.finish.committed", run.id)
        if not finished.is_over:
            raise start_again()
        if finished.event is not None:
            self.events.hand_off(finished.event)
        if finished.is_winner:
            self._told(run, answer, body)
        return Completed(finished.lane_pending)

    async def _persistently(self, run: Run, done: Finish, end: End) -> finish.Finished:
        """A database that is away for some seconds costs no second model call. Raises Unavailable after half a minute."""
        for attempt in range(FINISH_TRIES):
            try:
                claim = Claim(run.item, self.worker, self.events.lease())
                return await finish.finish(self.database, run.request, done, end, claim)
            except Unavailable:
                if attempt == FINISH_TRIES - 1:
                    raise
                await asyncio.sleep(0.5 * 2.0**attempt)
        raise AssertionError("unreachable")

    def _told(self, run: Run, answer: AgentResponse, body: bytes) -> None:
        measure(answer)
        log.info(
            "run_ended",
            status=answer.status.value,
            code=answer.error.code if answer.error else "",
            agent=run.turn.agent,
            model_calls=run.turn.usage.model_calls,
            tool_calls=run.turn.tool_calls,
        )
        had_waiter = self.waiters.resolve(run.id, body)
        self.live.wake(run.id)
        if (run.begun.reply_by == "call" and not had_waiter) or run.publisher.is_wanted:
            self.notify.notify(f"end:{run.id}")

    def event_of(self, answer: AgentResponse) -> bytes:
        return self.builder.response_ready(answer, trace=current_traceparent()).model_dump_json().encode()

    async def announce(self, answer: AgentResponse) -> None:
        """Tell the end of a tombstone by event, now that its request has arrived."""
        await intake.announce(self.database, answer.request_id, self.event_of(answer))
        self.events.wake()

    async def end(self, request: NormalizedRequest, status: RequestStatus, error: ErrorInfo) -> bool:
        """End a run from outside; where there is none, a tombstone stops it from ever beginning. False: it had ended before."""
        answer = answers.ended(request, status, error, now=self.now())
        is_winner, event = await intake.end(
            self.database, request, answer, self.event_of(answer), worker=self.events.lease()
        )
        if event is not None:
            self.events.hand_off(event)
        if is_winner:
            self.told_ended(answer)
        return is_winner

    def told_ended(self, answer: AgentResponse) -> None:
        """Stop the run, if it is at work, and wake who waits for it, here and elsewhere."""
        measure(answer)
        self.clocks.stop(answer.request_id)
        self.waiters.resolve(answer.request_id, answer.model_dump_json().encode())
        self.live.wake(answer.request_id)
        self.notify.notify(f"end:{answer.request_id}")

    def heard(self, payload: str) -> None:
        """Another process has news of a run: `news:<id>` events for its watchers, `end:<id>` its end."""
        kind, _, text = payload.partition(":")
        request_id = UUID(text)
        if kind == "end":
            self.clocks.stop(request_id)
            self.waiters.look_again(request_id)
        self.live.wake(request_id)


def message(role: str, content: str, agent: str | None = None, items: list[Item] | None = None) -> dict[str, Any]:
    """A row of `session_messages`."""
    return {"role": role, "content": content, "agent": agent, "items": items}


def measure(answer: AgentResponse) -> None:
    agent = answer.response.agent.name if answer.response else "none"
    REQUESTS.labels(answer.integration_type.value, agent, answer.status.value).inc()
    seconds = max(0.0, (answer.ended_at - answer.created_at).total_seconds())
    REQUEST_DURATION.labels(answer.integration_type.value, answer.status.value).observe(seconds)
