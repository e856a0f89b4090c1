"""Deliveries from plan to end: where an answer goes, sending it, retries, falling back, replay, the report to request-manager."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared_clients.events import EventSinkClient
from shared_models.database import Database
from shared_models.enums import DeliveryPolicy, DeliveryStatus, IntegrationType, ServiceName
from shared_models.errors import Conflict, MalformedBody, NotFound, Unavailable
from shared_models.event_data import data_of
from shared_models.events import CloudEvent, EventBuilder
from shared_models.faults import fault
from shared_models.ids import new_id
from shared_models.logging import get_logger
from shared_models.notifier import Notifier
from shared_models.schemas import AgentResponse, DeliveryReport, DeliveryWish, RequestProcessing
from shared_models.telemetry import current_traceparent, span
from shared_models.work_item import Completed, WorkItem
from shared_models.work_queue import WorkQueue

from integration_dispatcher.accounts import Accounts
from integration_dispatcher.domain.selection import Choice, choose
from integration_dispatcher.domain.templates import note_of
from integration_dispatcher.layers import NOTHING, Layers
from integration_dispatcher.progress import Progress
from integration_dispatcher.sending import Sender
from integration_dispatcher.store import configs, deliveries, history, notes, plans
from integration_dispatcher.store.deliveries import Abandoned, Workers
from integration_dispatcher.store.names import DELIVERIES
from integration_dispatcher.store.notes import DueNote
from integration_dispatcher.store.plans import DuePlan, Hand, NewPlan, PlannedRow, Queued

NO_RANK = -1
BEFORE_ALL = UUID(int=0)
INTERNAL_ERROR = "It could not be delivered because of an error on our side."

log = get_logger(__name__)


@dataclass(frozen=True)
class Queues:
    """This process's queues, and how others hear of rows that it does not take."""

    deliveries: WorkQueue
    events: WorkQueue
    notifier: Notifier
    worker_id: str

    def workers(self) -> Workers:
        return Workers(self.worker_id, self.events.lease())

    def wake_for_deliveries(self) -> None:
        """Many rows have come due at once: for this process and the others."""
        self.deliveries.wake()
        self.notifier.notify(DELIVERIES)


@dataclass(frozen=True)
class Place:
    """The place of a message in its plan: the integration's rank in the chain, and what the message is (see the table)."""

    rank: int = NO_RANK
    kind: str = "answer"


class DeliveryProcessor:
    """`fallback_after_s`: how long one integration is given before the next one is started beside it."""

    def __init__(
        self,
        database: Database,
        layers: Layers,
        accounts: Accounts,
        queues: Queues,
        sink: EventSinkClient,
        progress: Progress,
        *,
        fallback_after_s: float,
    ) -> None:
        self._database = database
        self._layers = layers
        self._queues = queues
        self._sink = sink
        self._progress = progress
        self._fallback_after_s = fallback_after_s
        self._sender = Sender(database, layers, accounts)
        self._events = EventBuilder(ServiceName.INTEGRATION_DISPATCHER)

    async def take_event(self, event: CloudEvent) -> None:
        """Plan on `response.ready`, show on `request.processing` that it is being worked on.

        Raises MalformedBody (never), Unavailable (later)."""
        match data_of(event, ServiceName.INTEGRATION_DISPATCHER):
            case AgentResponse() as answer:
                await self.plan(answer, answer.model_dump_json())
            case RequestProcessing() as request:
                self._progress.processing(request)
            case _:
                raise MalformedBody("Events of this type are not taken here.")

    async def plan(self, answer: AgentResponse, message: str) -> None:
        """Record where an ended request's answer goes and start it; `message` is the answer as JSON. Safe to repeat."""
        wish = answer.delivery
        if wish is None:
            return
        stored = await configs.for_user(self._database, answer.person.user_id)
        choice = choose(wish, answer.integration_type, self._layers.all_effective(stored))
        is_all = wish.policy is DeliveryPolicy.ALL
        rows = self._first_rows(answer, choice, stored, is_all=is_all)
        if not rows:
            return
        fallback_after_s = None if is_all or len(choice.chain) < 2 else self._fallback_after_s
        chain = [each.value for each in choice.chain]
        note = None if choice.chain else "failed"
        new = NewPlan(answer, message, wish.policy.value, chain, fallback_after_s, note)
        await fault("dispatcher.plan.before_commit", answer.request_id)
        queued = await plans.plan(self._database, new, rows, hand := self._hand())
        await fault("dispatcher.plan.committed", answer.request_id)
        self._start(queued, hand)
        self._progress.ended(answer)

    def _first_rows(
        self, answer: AgentResponse, choice: Choice, stored: dict[str, configs.Stored], *, is_all: bool
    ) -> list[PlannedRow]:
        """What is sent at once, and what was asked for and cannot be: the person hears of that as well."""
        started = choice.chain if is_all else choice.chain[:1]
        kind = "origin" if answer.delivery is not None and answer.delivery.mode == "origin" else "answer"
        rows = [
            row
            for rank, each in enumerate(started)
            for row in self._rows(answer, each, stored.get(each, NOTHING), Place(rank, kind))
        ]
        refused = [
            PlannedRow(new_id(), 1, 1, each.integration.value, "", NO_RANK, "", "failed", each.reason, 0.0)
            for each in choice.refused
        ]
        return rows + refused

    def _rows(
        self, answer: AgentResponse, integration: IntegrationType, stored: configs.Stored, place: Place
    ) -> list[PlannedRow]:
        handler = self._layers.handlers[integration]
        config = stored.user.config if stored.user else {}
        target = handler.target(answer, answer.person.user_id, config)
        bodies = [part.replace("\x00", "") for part in handler.parts(answer, config)]
        delivery_id, expires_after_s = new_id(), handler.schedule.expires_after_s
        return [
            PlannedRow(
                *(delivery_id, part, len(bodies), integration.value, target, place.rank, body),
                status=DeliveryStatus.PENDING.value,
                reason="",
                expires_after_s=expires_after_s,
                kind=place.kind,
            )
            for part, body in enumerate(bodies, start=1)
        ]

    async def deliver_due(self, item: WorkItem) -> Completed | None:
        """Run one row of the deliveries' queue: send the open parts of one message, one after the other."""
        with span("deliver", traceparent=str(item.payload.get("trace", ""))):
            delivery_id = UUID(item.payload["delivery_id"])
            while taken := await deliveries.take_up(self._database, delivery_id):
                sent = await self._sender.send(taken, item, self._queues.workers())
                await self._follow(taken.request_id, sent.event, falls_back=sent.falls_back)
                if sent.completed is not None:
                    return sent.completed
        return None

    async def give_up(self, item: WorkItem, reason: str) -> None:
        """The queue has given a row up because of an error of ours: end its delivery, so that nobody waits for it."""
        log.error("delivery_given_up", work_item=item.id, cause=reason)
        taken = await deliveries.first_open(self._database, UUID(item.payload["delivery_id"]))
        if taken is not None:
            end = deliveries.InVain("failed", INTERNAL_ERROR, counted=False)
            gone = WorkItem(0, DELIVERIES, None, item.ref, item.payload)
            nothing = deliveries.Outcome()
            workers = self._queues.workers()
            ended = await deliveries.ended_in_vain(self._database, taken, nothing, end, gone, workers)
            await self._follow(taken.request_id, ended.event, falls_back=ended.is_ended)

    async def _give_up_abandoned(self, abandoned: Abandoned) -> None:
        await self.give_up(abandoned.item, abandoned.reason)

    async def _follow(self, request_id: UUID, event: WorkItem | None, *, falls_back: bool) -> None:
        """After an end: tell it, and start the next integration."""
        if event is not None:
            self._queues.events.hand_off(event)
        if falls_back:
            await self.fall_back(request_id)

    async def report(self, item: WorkItem) -> None:
        """Run one row of the events' queue: tell what a delivery has come to."""
        payload = dict(item.payload)
        trace = str(payload.pop("trace", ""))
        event = self._events.delivery(DeliveryReport.read(payload), trace=trace)
        with span("report", traceparent=trace):
            await fault("dispatcher.report.before_send", item.ref)
            await self._sink.send(event)
            await fault("dispatcher.report.sent", item.ref)

    async def sweep(self) -> None:
        """End what is overdue, and start the next integration where one has failed or takes too long."""
        if await deliveries.expire(self._database):
            self._queues.events.wake()
        await self._each(deliveries.abandoned, self._give_up_abandoned)
        await self._each(plans.due_plans, self._move_on)
        await self._each(notes.due, self._tell)

    async def _each[Due: (Abandoned, DuePlan, DueNote)](
        self, page_after: Callable[[Database, UUID], Awaitable[list[Due]]], step: Callable[[Due], Awaitable[None]]
    ) -> None:
        """One row that this code cannot read, or that it fails on, keeps no other from its turn."""
        last = BEFORE_ALL
        while page := await page_after(self._database, last):
            for due in page:
                try:
                    await step(due)
                except Unavailable:
                    raise
                except Exception:
                    log.exception("sweep_row_failed", request_id=str(due.request_id))
            last = page[-1].request_id

    async def fall_back(self, request_id: UUID) -> None:
        """Start the next integration of a request now, if that is due."""
        due = await plans.due_plan(self._database, request_id)
        if due is not None:
            await self._move_on(due)

    async def _move_on(self, due: DuePlan) -> None:
        """Skip what can no longer be used: settings may have changed since the plan was made."""
        answer = due.answer()
        stored = await configs.for_user(self._database, due.user_id)
        usable = {each.integration for each in self._layers.all_effective(stored) if not each.refusal}
        for position in range(due.position + 1, len(due.chain)):
            integration = IntegrationType(due.chain[position])
            if integration in usable:
                rows = self._rows(answer, integration, stored.get(integration, NOTHING), Place(position))
                after_s = self._fallback_after_s if position + 1 < len(due.chain) else None
                hand = self._hand()
                self._start(await plans.move_on(self._database, due, position, rows, hand, after_s), hand)
                return
        await plans.no_further(self._database, due)

    async def _tell(self, due: DueNote) -> None:
        """Tell the person on the first usable integration that has not failed; without one only the event tells it."""
        answer = due.answer()
        stored = await configs.for_user(self._database, due.user_id)
        failed = {integration for integration, _ in due.failures}
        note = note_of(answer, due.note, due.failures)
        chosen = choose(DeliveryWish(mode="preferred"), answer.integration_type, self._layers.all_effective(stored))
        usable = [each for each in chosen.chain if each.value not in failed]
        rows = [
            row for each in usable[:1] for row in self._rows(note, each, stored.get(each, NOTHING), Place(kind="note"))
        ]
        hand = self._hand()
        self._start(await notes.tell(self._database, due.request_id, rows, hand), hand)

    async def replay(self, delivery_id: UUID, integration: IntegrationType) -> None:
        """Try an ended delivery again from the beginning, with the same ids. Raises Conflict, NotFound."""
        handler = self._layers.handlers.get(integration)
        if handler is None:
            raise NotFound
        expires_after_s = handler.schedule.expires_after_s
        hand = self._hand()
        is_due, item = await history.replay(self._database, delivery_id, expires_after_s, hand.worker, hand.trace)
        if not is_due:
            raise Conflict(
                "It was delivered, or is still being tried.", hint="Only what failed, expired or was cancelled."
            )
        own: Sequence[WorkItem] = [item] if item is not None else []
        self._start(Queued(list(own), has_events=False, has_others=item is None), hand)

    def _hand(self) -> Hand:
        return Hand(self._queues.deliveries.lease(), current_traceparent())

    def _start(self, queued: Queued, hand: Hand) -> None:
        for item in queued.own:
            self._queues.deliveries.hand_off(item)
        if queued.has_events:
            self._queues.events.wake()
        if queued.has_others and hand.worker is None:
            self._queues.notifier.notify(DELIVERIES)
