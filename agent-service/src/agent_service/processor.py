"""What the routes ask for: take a request in, wait for its answer, end it, close a session."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from shared_models.database import Database
from shared_models.enums import RequestStatus, ServiceName
from shared_models.errors import InvalidRequest, MalformedBody, NotFound
from shared_models.event_data import data_of
from shared_models.events import CloudEvent
from shared_models.faults import fault
from shared_models.notifier import Notifier
from shared_models.schemas import AgentResponse, EndRun, NormalizedRequest, RunView
from shared_models.telemetry import current_traceparent
from shared_models.work_queue import WorkQueue

from agent_service.commands import command_in, goes_to_model, overtakes
from agent_service.domain import answers
from agent_service.ending import Ending
from agent_service.starts import Starts
from agent_service.store import closing, intake
from agent_service.store.begin import NO_LIMIT
from agent_service.store.intake import RUNS, NewRun, Taken
from agent_service.waiting import Waiters

TITLE_CHARS = 80


@dataclass(frozen=True)
class AgentProcessor:
    database: Database
    runs: WorkQueue
    waiters: Waiters
    ending: Ending
    notify_work: Notifier
    now: Callable[[], datetime]
    answer_wait_s: float
    session_lifetime: timedelta
    runs_per_user: int
    starts: Starts

    async def answer(self, request: NormalizedRequest, body: bytes) -> bytes | None:
        """Take a request in, once, and wait for its end: an AgentResponse as JSON; None: not ended yet, ask again.

        `body`: the request as JSON. Raises NotFound (the session is another person's), InvalidRequest, Unavailable."""
        with self.waiters.waiting(request.request_id) as ended:
            taken = await self._take(request, body, "call")
            if taken.answer is not None:
                return taken.answer
            self.waiters.inserted(request.request_id)
            try:
                async with asyncio.timeout(self.answer_wait_s):
                    return await ended
            except TimeoutError:
                return None

    async def take_event(self, event: CloudEvent) -> None:
        """`request.created`: take a request in, once; its end is told by event. Raises MalformedBody, InvalidRequest, Unavailable."""
        request = data_of(event, ServiceName.AGENT_SERVICE)
        if not isinstance(request, NormalizedRequest):
            raise MalformedBody("Events of this type are not taken here.")
        try:
            taken = await self._take(request, event.data_bytes(), "event")
        except NotFound as exc:
            raise MalformedBody("Its session belongs to another person.") from exc
        if taken.is_tombstone and taken.answer is not None:
            await self.ending.announce(AgentResponse.read_json(taken.answer))

    async def _take(self, request: NormalizedRequest, body: bytes, reply_by: str) -> Taken:
        new = NewRun(
            request=request,
            body=body,
            title="" if command_in(request) else " ".join(request.content.split())[:TITLE_CHARS],
            reply_by=reply_by,
            is_laned=not overtakes(request),
            worker=self.runs.lease(),
            expires_at=self.now() + self.session_lifetime,
            at_most=NO_LIMIT if overtakes(request) else self.runs_per_user,
            with_intent=goes_to_model(request),
            trace=current_traceparent(),
        )
        try:
            await fault("agent_service.intake.before_commit", request.request_id)
            async with self.starts.only_one(str(request.person.user_id)):
                taken = await intake.insert(self.database, new)
            await fault("agent_service.intake.committed", request.request_id)
        except asyncpg.DataError as exc:
            raise InvalidRequest("The request holds characters or numbers that cannot be stored.") from exc
        if taken.is_foreign:
            raise NotFound
        if taken.item is not None:
            self.runs.hand_off(taken.item)
        elif taken.is_new:
            self.runs.wake()
            self.notify_work.notify(RUNS)
        return taken

    async def end(self, end: EndRun) -> RunView:
        """Ask for an end. The view tells what it came to: an ended run keeps its end."""
        await self.ending.end(end.request, RequestStatus(end.status), end.error)
        return await self.view(end.request.request_id)

    async def view(self, request_id: UUID) -> RunView:
        """Raises NotFound."""
        row = await intake.view(self.database, request_id)
        if row is None:
            raise NotFound
        answer = AgentResponse.read(row["answer"]) if row["answer"] is not None else None
        agent = answer.response.agent if answer and answer.response else None
        state = RequestStatus.ACCEPTED if row["state"] == "waiting" else RequestStatus(row["state"])
        return RunView(request_id=request_id, session_id=row["session_id"], status=state, agent=agent, answer=answer)

    async def close_session(self, session_id: UUID) -> None:
        """End what waits and what runs in a session, and the session. Safe to repeat. Raises NotFound."""
        ended = await closing.close(self.database, session_id, self._closed)
        for answer in ended:
            self.ending.told_ended(answer)
        self.ending.events.wake()

    def _closed(self, request: NormalizedRequest) -> tuple[AgentResponse, bytes]:
        answer = answers.ended(request, RequestStatus.FAILED, answers.SESSION_CLOSED, now=self.now())
        return answer, self.ending.event_of(answer)
