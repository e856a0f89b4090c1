"""What a started process holds, for its routes and for tests."""

from dataclasses import dataclass

from shared_models.database import Database
from shared_models.dead_letter_box import DeadLetterBox
from shared_models.event_endpoint import EventEndpoint
from shared_models.tokens import ServiceTokens
from shared_models.work_queue import WorkQueue

from agent_service.ending import Ending
from agent_service.live import LiveRuns
from agent_service.outside import Outside
from agent_service.processor import AgentProcessor
from agent_service.upkeep import Upkeep


@dataclass(frozen=True)
class Parts:
    database: Database
    tokens: ServiceTokens
    runs: WorkQueue
    events: WorkQueue
    refused: WorkQueue
    outside: Outside
    processor: AgentProcessor
    ending: Ending
    live: LiveRuns
    upkeep: Upkeep
    event_endpoint: EventEndpoint
    dead_letters: DeadLetterBox

    @property
    def queues(self) -> tuple[WorkQueue, ...]:
        """In the order in which they are started."""
        return self.events, self.refused, self.runs
