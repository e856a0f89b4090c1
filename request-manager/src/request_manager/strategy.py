"""How messages travel: by direct HTTP, or as events through a broker. Only `app.py` knows which."""

from dataclasses import dataclass
from typing import Protocol

from shared_clients.agent_service import AgentServiceClient
from shared_clients.events import EventSinkClient
from shared_clients.integration_dispatcher import IntegrationDispatcherClient
from shared_models.events import CloudEvent, EventBuilder
from shared_models.schemas import AgentResponse, NormalizedRequest
from shared_models.telemetry import current_traceparent
from shared_models.work_item import RetryLater


class CommunicationStrategy(Protocol):
    """Each call may be repeated for the same message: at least once. All raise UpstreamUnavailable, UpstreamRejected."""

    async def hand_over(self, request: NormalizedRequest) -> AgentResponse | None:
        """Bring a request to agent-service. Returns its answer, or None when that comes as an event.

        Raises RetryLater while the run goes on: ask again, no attempt counted."""

    async def announce(self, answer: AgentResponse) -> None:
        """Bring an end to where it is delivered from."""

    async def pass_on(self, event: CloudEvent) -> None:
        """Bring an event that came to us to its other consumers, if nobody else does."""

    async def send_again(self, event: CloudEvent) -> bool:
        """Bring an event, as it was first sent, to all of its consumers. False: it must be done by hand."""


@dataclass(frozen=True)
class DirectHttpStrategy:
    agents: AgentServiceClient
    dispatcher: IntegrationDispatcherClient

    async def hand_over(self, request: NormalizedRequest) -> AgentResponse | None:
        answer = await self.agents.answer(request)
        if answer is None:
            raise RetryLater("the run goes on", after_s=0, counted=False)
        return answer

    async def announce(self, answer: AgentResponse) -> None:
        await self.dispatcher.deliver(answer)

    async def pass_on(self, event: CloudEvent) -> None:
        await self.dispatcher.send_event(event)

    async def send_again(self, event: CloudEvent) -> bool:
        return False


@dataclass(frozen=True)
class EventingStrategy:
    """The broker takes each event to all of its consumers."""

    broker: EventSinkClient
    events: EventBuilder

    async def hand_over(self, request: NormalizedRequest) -> AgentResponse | None:
        await self.broker.send(self.events.request_created(request, trace=current_traceparent()))
        return None

    async def announce(self, answer: AgentResponse) -> None:
        await self.broker.send(self.events.response_ready(answer, trace=current_traceparent()))

    async def pass_on(self, event: CloudEvent) -> None:
        """The broker has done so already."""

    async def send_again(self, event: CloudEvent) -> bool:
        await self.broker.send(event)
        return True
