"""What every kind of inbound event's processor is, and what it is built from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import httpx
from shared_clients.request_manager import RequestManagerClient
from shared_models.api import UserView
from shared_models.database import Database

from integration_dispatcher.inbound.people import People
from integration_dispatcher.progress import Progress
from integration_dispatcher.settings import Settings
from integration_dispatcher.store.inbound import Ended, InboundEvent


class InboundProcessor(Protocol):
    """Gives one provider's events their meaning. Both may run more than once for one event."""

    async def process(self, event: InboundEvent) -> Ended:
        """Forward the event, answer it or ignore it.

        Raises UpstreamUnavailable, RetryLater: tried again; UpstreamRejected, GiveUp: given up, and its person is told."""

    async def tell_given_up(self, event: InboundEvent) -> None:
        """Tell the person that this came to nothing; nobody may be known. Raises as `process`."""


@dataclass(frozen=True)
class InboundEdges:
    """What processors are built from. `http` calls the providers that the settings name.

    `as_person` makes a client of request-manager that acts for a person whom a provider's id has shown to be there."""

    settings: Settings
    database: Database
    http: httpx.AsyncClient
    manager: RequestManagerClient
    people: People
    as_person: Callable[[UserView], RequestManagerClient]
    progress: Progress
