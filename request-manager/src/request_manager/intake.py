"""What events do here: they move a request forward. All of it may come twice, late, and in any order.

No event needs a row in an inbox: an end is a compare-and-set, and the other states only move forward."""

from dataclasses import dataclass

from shared_models.database import Database
from shared_models.enums import ServiceName
from shared_models.errors import MalformedBody
from shared_models.event_data import data_of
from shared_models.events import CloudEvent
from shared_models.faults import fault
from shared_models.schemas import AgentResponse, DeliveryReport, RequestProcessing

from request_manager.processor import UnifiedRequestProcessor
from request_manager.store import requests as store
from request_manager.strategy import CommunicationStrategy


@dataclass(frozen=True)
class Intake:
    database: Database
    processor: UnifiedRequestProcessor
    strategy: CommunicationStrategy

    async def take(self, event: CloudEvent) -> None:
        """Raises MalformedBody (never), Unavailable or UpstreamUnavailable (later)."""
        data = data_of(event, ServiceName.REQUEST_MANAGER)
        await fault("request_manager.event.before_commit", event.subject)
        match data:
            case RequestProcessing() as note:
                await store.mark_processing(self.database, note.request_id)
                if note.delivery is not None:
                    await self.strategy.pass_on(event)
            case AgentResponse() as answer:
                await self.processor.complete(answer, announce=False)
            case DeliveryReport() as report:
                await store.record_delivery(self.database, report.request_id, report.integration, report.status)
            case _:
                raise MalformedBody("Events of this type are not taken here.")
        await fault("request_manager.event.committed", event.subject)
