"""The dispatcher's dead letters: reports that were given up, and deliveries that failed."""

from dataclasses import dataclass
from uuid import UUID

from shared_models.dead_letter_box import WorkItemBox
from shared_models.enums import IntegrationType
from shared_models.errors import NotFound
from shared_models.operations import DeadLetterDetail, DeadLetterFilter, DeadLetterView, Place

from integration_dispatcher.processor import DeliveryProcessor
from integration_dispatcher.store import dead_deliveries


@dataclass(frozen=True)
class DispatcherBox:
    """`items` lists both. The id of a delivery ends in a UUID, that of a work item in a number."""

    items: WorkItemBox
    processor: DeliveryProcessor

    async def page(self, wanted: DeadLetterFilter, before: Place | None, limit: int) -> list[DeadLetterView]:
        return await self.items.page(wanted, before, limit)

    async def read(self, letter_id: str) -> DeadLetterDetail:
        return await self.items.read(letter_id)

    async def replay(self, letter_id: str) -> None:
        """Raises NotFound, Gone, Conflict."""
        delivery_id = delivery_of(letter_id)
        if delivery_id is None:
            await self.items.replay(letter_id)
            return
        letter = await self.items.read(letter_id)
        await self.processor.replay(delivery_id, IntegrationType(letter.facts["integration"]))

    async def discard(self, letter_id: str) -> None:
        delivery_id = delivery_of(letter_id)
        if delivery_id is None:
            await self.items.discard(letter_id)
        elif not await dead_deliveries.discard(self.items.database, delivery_id):
            raise NotFound


def delivery_of(letter_id: str) -> UUID | None:
    """The delivery that a dead letter is about; None for a work item, or for what is no id."""
    try:
        return UUID(letter_id.partition(":")[2])
    except ValueError:
        return None
