"""The run worker: takes a run from its queue, or up again after a crash, and brings it to its end."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from shared_models.commands import Command
from shared_models.database import Database
from shared_models.enums import RequestStatus, SessionStatus
from shared_models.errors import ServiceError, Unavailable
from shared_models.events import EventBuilder
from shared_models.faults import fault
from shared_models.logging import get_logger
from shared_models.schemas import AgentRef, NormalizedRequest, RequestProcessing
from shared_models.telemetry import current_traceparent, span
from shared_models.work_item import Completed, RetryLater, WorkItem
from shared_models.work_queue import WorkQueue

from agent_service.commands import Commands, command_in, goes_to_model, overtakes
from agent_service.decisions import Decisions
from agent_service.domain import answers
from agent_service.domain.answers import TurnTooLong, error_info
from agent_service.domain.turn import Turn
from agent_service.ending import Ending
from agent_service.live import Publisher
from agent_service.mirror import Mirror
from agent_service.run import Run, RunOver, start_again
from agent_service.starts import Starts
from agent_service.store import begin, finish
from agent_service.store.begin import NO_LIMIT, Begun
from agent_service.store.intake import PERSON
from agent_service.turn_loop import TurnLoop

SLOT_RETRY_S = 5.0

log = get_logger(__name__)


@dataclass
class Slots:
    """Sessions whose person has too many runs at work. They come due again by themselves; this makes it sooner."""

    waiting: dict[UUID, dict[str, None]] = field(default_factory=dict)

    def wait(self, user_id: UUID, session_key: str) -> None:
        self.waiting.setdefault(user_id, {})[session_key] = None

    def next(self, user_id: UUID) -> str | None:
        """The session that waits longest, which is then forgotten here."""
        sessions = self.waiting.get(user_id)
        if not sessions:
            return None
        key = next(iter(sessions))
        del sessions[key]
        if not sessions:
            del self.waiting[user_id]
        return key


@dataclass(frozen=True)
class Runner:
    """`handle` is the handler of the queue `agent-service.runs`."""

    database: Database
    worker: str
    events: WorkQueue
    wake_runs: Callable[[], None]
    builder: EventBuilder
    ending: Ending
    loop: TurnLoop
    commands: Commands
    decisions: Decisions
    mirror: Mirror
    runs_per_user: int
    processing_after_s: float
    starts: Starts
    slots: Slots = field(default_factory=Slots)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def handle(self, item: WorkItem) -> Completed | None:
        """Raises RetryLater when the person has no free slot, Unavailable when the database is away."""
        with span("run", traceparent=str(item.payload.get("trace", ""))):
            return await self._handle(item)

    async def _handle(self, item: WorkItem) -> Completed | None:
        handed: NormalizedRequest | None = item.payload.get("request")
        begun: Begun | None = item.payload.get("begun") or await self._begin(item, handed)
        if begun is None:
            raise RetryLater("its run is not there", after_s=1.0)
        if begun.has_ended:
            return None
        await fault("agent_service.begun", item.ref)
        request = handed or NormalizedRequest.read(begun.request)
        if begun.attempt is None:
            self.slots.wait(request.person.user_id, str(begun.session_id))
            raise RetryLater("the person has too many runs at work", after_s=SLOT_RETRY_S, counted=False)
        ids = {"request_id": item.ref, "session_id": str(begun.session_id)}
        with structlog.contextvars.bound_contextvars(**ids):
            run = self._run(item, request, begun, begun.attempt)
            with self._announced(run):
                done = await self._bring_to_end(run)
            await self._free_slot(request.person.user_id)
            return done

    async def _begin(self, item: WorkItem, handed: NormalizedRequest | None) -> Begun | None:
        async with self.starts.only_one(item.payload.get(PERSON, "")):
            return await begin.start(
                self.database,
                item,
                self.worker,
                at_most=NO_LIMIT if item.key is None else self.runs_per_user,
                with_intent=handed is not None and goes_to_model(handed),
                with_request=handed is None,
            )

    def _run(self, item: WorkItem, request: NormalizedRequest, begun: Begun, attempt: int) -> Run:
        agent = self.loop.outside.agents.get(begun.agent or "") or self.loop.outside.agents.entry
        turn = Turn(request.request_id.hex[-12:], agent.name)
        turn.replay(begun.steps)
        is_wanted = request.stream or begun.is_watched
        publisher = Publisher(self.ending.live, request.request_id, attempt, is_wanted=is_wanted)
        return Run(request, item, attempt, begun, turn, publisher)

    async def _bring_to_end(self, run: Run) -> Completed | None:
        if run.begun.is_overdue:
            return await self.ending.fail(run, RequestStatus.EXPIRED, answers.EXPIRED)
        if run.begun.seq < run.begun.cancelled_before_seq and not overtakes(run.request):
            return await self.ending.fail(run, RequestStatus.CANCELLED, answers.CANCELLED)
        if run.begun.status != SessionStatus.ACTIVE and not overtakes(run.request):
            moved = await self._of_closed_session(run)
            if moved is not None:
                return moved
        command = command_in(run.request)
        if command is not None:
            return await self._command(run, command)
        return await self._turn(run)

    async def _of_closed_session(self, run: Run) -> Completed | None:
        """The person's conversation goes on elsewhere: so does this run. None: it is answered here after all.

        A run that named its session, or whose session was closed by hand, ends; after `new` it starts afresh."""
        if not run.request.named_session:
            successor = await finish.successor(self.database, run.request, run.begun.session_id)
            if successor is not None:
                return Completed(await finish.move(self.database, run.id, successor, run.item, self.worker))
            if run.begun.seq >= run.begun.context_from_seq:
                return None
        return await self.ending.fail(run, RequestStatus.FAILED, answers.SESSION_CLOSED)

    async def _command(self, run: Run, command: Command) -> Completed:
        is_new = command is Command.NEW
        agent = self.loop.outside.agents.entry if is_new else self.loop.agent_of(run)
        reply = await self.commands.answer(command, run, agent.ref)
        return await self.ending.complete_command(run, reply, ends_session=is_new)

    async def _turn(self, run: Run) -> Completed | None:
        """Raises RetryLater: the row is tried again and goes on from its steps."""
        try:
            async with asyncio.timeout(self._turn_s(run)) as clock:
                self.ending.clocks.start(run.id, clock)
                if run.attempt > 1:
                    await run.publisher.reset()
                reply = await self.decisions.settle(run) or await self.loop.play(run)
                conversation_id = await self.mirror.add(run, reply)
        except RunOver as exc:
            raise start_again() from exc
        except TimeoutError:
            if self.ending.clocks.forget(run.id):
                return None
            log.warning("turn_timeout")
            return await self._fail(run, TurnTooLong())
        except Unavailable as exc:
            raise RetryLater("the database is away", counted=False) from exc
        except ServiceError as exc:
            log.warning("turn_failed", code=exc.code)
            log.debug("turn_failed", cause=exc.detail[:300])
            return await self._fail(run, exc)
        finally:
            self.ending.clocks.forget(run.id)
        return await self.ending.complete(run, reply, conversation_id)

    async def _fail(self, run: Run, error: ServiceError) -> Completed:
        return await self.ending.fail(run, RequestStatus.FAILED, error_info(error))

    def _turn_s(self, run: Run) -> float:
        """A turn may pass to another agent, so the most generous limit of those it may reach holds."""
        agent = self.loop.agent_of(run)
        others = [self.loop.outside.agents.get(name) for name in agent.handoffs]
        return max(each.limits.turn_s for each in [agent, *others] if each is not None)

    @contextmanager
    def _announced(self, run: Run) -> Iterator[None]:
        """`request.processing` is sent when the run takes longer than a moment."""

        def tell() -> None:
            task = asyncio.create_task(self._tell_processing(run), name=f"processing {run.id}")
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

        timer = asyncio.get_running_loop().call_later(self.processing_after_s, tell)
        try:
            yield
        finally:
            timer.cancel()

    async def _tell_processing(self, run: Run) -> None:
        request, agent = run.request, self.loop.agent_of(run)
        note = RequestProcessing(
            request_id=request.request_id,
            session_id=request.session_id,
            person=request.person,
            integration_type=request.integration_type,
            delivery=request.delivery,
            agent=AgentRef(name=agent.name, version=agent.version),
        )
        event = self.builder.request_processing(note, trace=current_traceparent()).model_dump_json().encode()
        try:
            item = await finish.tell_processing(self.database, run.id, event, self.events.lease())
        except Unavailable:
            log.warning("processing_not_announced")
            return
        if item is not None:
            self.events.hand_off(item)

    async def _free_slot(self, user_id: UUID) -> None:
        key = self.slots.next(user_id)
        if key is not None:
            await finish.free_parked(self.database, key)
            self.wake_runs()
