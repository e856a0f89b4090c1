"""What a running request-manager is made of. `app.py` builds it, the routes and the tests find it at `app.state.parts`."""

from dataclasses import dataclass

from shared_clients.agent_service import AgentServiceClient
from shared_clients.integration_dispatcher import IntegrationDispatcherClient
from shared_models.database import Database
from shared_models.event_endpoint import EventEndpoint
from shared_models.tokens import ServiceTokens
from shared_models.work_queue import WorkQueue

from request_manager.authentication import Authenticator
from request_manager.dead_letters import DeadLetterDesk
from request_manager.ends import Ends
from request_manager.processor import UnifiedRequestProcessor
from request_manager.relay import Relay
from request_manager.settings import RequestManagerSettings
from request_manager.strategy import CommunicationStrategy
from request_manager.streams import RequestStreams
from request_manager.waiting import Waiting


@dataclass(frozen=True)
class Parts:
    settings: RequestManagerSettings
    database: Database
    tokens: ServiceTokens
    authenticator: Authenticator
    agents: AgentServiceClient
    dispatcher: IntegrationDispatcherClient
    strategy: CommunicationStrategy
    waiting: Waiting
    processor: UnifiedRequestProcessor
    relay: Relay
    ends: Ends
    streams: RequestStreams
    event_endpoint: EventEndpoint
    dead_event_endpoint: EventEndpoint
    replays: tuple[WorkQueue, ...]
    desk: DeadLetterDesk

    @property
    def queues(self) -> tuple[WorkQueue, ...]:
        return self.processor.requests, self.processor.responses, self.ends.queue, *self.replays
