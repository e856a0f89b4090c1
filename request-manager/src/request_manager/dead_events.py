"""What the broker could not deliver, and hand-overs that were given up: the request ends, and all is kept for the operators.

`POST /dead-letters` is the dead-letter sink of every Trigger. All of it may come twice.
Source: https://knative.dev/docs/eventing/event-delivery/ (the extensions knativeerror*)."""

import base64
import binascii
from dataclasses import dataclass
from uuid import UUID

from shared_models.database import Database
from shared_models.dead_letters import event_of, keep, letter, short_attribute
from shared_models.enums import ServiceName
from shared_models.errors import MalformedBody, ServiceError, Unavailable
from shared_models.event_data import data_of
from shared_models.events import CloudEvent, EventType
from shared_models.logging import get_logger
from shared_models.schemas import AgentResponse, NormalizedRequest
from shared_models.work_item import Completed, GiveUp, WorkItem

from request_manager.domain.ends import EndReason
from request_manager.ends import Ends
from request_manager.intake import Intake
from request_manager.processor import UnifiedRequestProcessor
from request_manager.strategy import CommunicationStrategy

DEAD_EVENTS_QUEUE = "request-manager.dead-events"
ERROR_PREFIX = "knativeerror"
DESTINATION, CODE, DATA = (ERROR_PREFIX + name for name in ("dest", "code", "data"))
MAX_SAID_CHARS = 300

log = get_logger(__name__)


@dataclass(frozen=True)
class DeadEvents:
    """`handle` runs the queue `request-manager.dead-events`, whose rows are dead until an operator replays one."""

    database: Database
    ends: Ends
    processor: UnifiedRequestProcessor
    strategy: CommunicationStrategy
    intake: Intake

    async def take(self, event: CloudEvent) -> None:
        """Keep an event that was given up, and end what it was about. Raises Unavailable: to be sent again."""
        await self._keep(event)
        log.warning("dead_event", event_type=event.type, destination=event.extensions.get(DESTINATION, ""))
        match event.type:
            case EventType.REQUEST_CREATED:
                await self._end_request_of(event)
            case EventType.RESPONSE_READY:
                await self._complete_from(event)
            case _:
                pass  # nobody waits for it: kept for replay

    async def give_up(self, item: WorkItem, _reason: str) -> None:
        """A hand-over of the relay was given up: the same end as that of a dead `request.created`."""
        await self.undeliverable(UUID(item.ref))

    async def undeliverable(self, request_id: UUID) -> None:
        """End a request that cannot be brought to agent-service, which is asked first; its person is told."""
        await self.ends.ask(request_id, EndReason.UNDELIVERABLE)

    async def handle(self, item: WorkItem) -> Completed | None:
        """Send a replayed event again, as it was first sent."""
        try:
            event = as_sent(event_of(item))
            if not await self.strategy.send_again(event):
                await self._send_by_hand(event)
        except ServiceError as exc:
            if exc.retryable or exc.status >= Unavailable.status:
                raise
            raise GiveUp(f"refused again: {exc}") from exc
        return None

    async def _send_by_hand(self, event: CloudEvent) -> None:
        """Raises MalformedBody, RetryLater, UpstreamUnavailable, UpstreamRejected, Unavailable."""
        if event.type != EventType.REQUEST_CREATED:
            await self.intake.take(event)
            if event.type == EventType.RESPONSE_READY:
                await self.strategy.announce(AgentResponse.read(event.data))
            return
        request = data_of(event, ServiceName.AGENT_SERVICE)
        assert isinstance(request, NormalizedRequest)
        answer = await self.strategy.hand_over(request)
        if answer is not None:
            await self.processor.complete(answer, announce=True)

    async def _keep(self, event: CloudEvent) -> None:
        headers, body = event.to_binary()
        payload = letter(headers, body)
        payload["event"] |= error_facts(event)
        ref = f"{event.source} {event.id} {event.extensions.get(DESTINATION, '')}"
        await keep(self.database, DEAD_EVENTS_QUEUE, payload, ref=ref, cause=cause_of(event))

    async def _end_request_of(self, event: CloudEvent) -> None:
        """By its attribute: the data may be what its consumer could not read."""
        try:
            request_id = UUID(event.extensions.get("requestid", ""))
        except ValueError:
            log.warning("dead_event_names_no_request")
            return
        await self.undeliverable(request_id)

    async def _complete_from(self, event: CloudEvent) -> None:
        """The answer is in the event itself. Whoever it did not reach, the first end stays."""
        try:
            answer = data_of(as_sent(event), ServiceName.REQUEST_MANAGER)
        except MalformedBody as exc:
            log.warning("dead_answer_not_readable", cause=str(exc))
            return
        assert isinstance(answer, AgentResponse)
        await self.processor.complete(answer, announce=False)


def as_sent(event: CloudEvent) -> CloudEvent:
    """The event without what the broker has added when it gave up."""
    own = {name: value for name, value in event.extensions.items() if not name.startswith(ERROR_PREFIX)}
    return event.model_copy(update={"extensions": own})


def cause_of(event: CloudEvent) -> str:
    destination, code = event.extensions.get(DESTINATION, "its consumer"), event.extensions.get(CODE)
    if code is None:
        return f"{destination} could not be reached"
    return f"{destination} answered {code}"


def error_facts(event: CloudEvent) -> dict[str, str]:
    """What the broker tells of the failure. The reply of the consumer is shortened and readable."""
    facts = {name: short_attribute(event.extensions[name]) for name in (DESTINATION, CODE) if name in event.extensions}
    try:
        said = base64.b64decode(event.extensions.get(DATA, ""), validate=True).decode(errors="replace")
    except binascii.Error:
        said = ""
    if said:
        facts[DATA] = said.replace("\x00", "")[:MAX_SAID_CHARS]
    return facts
