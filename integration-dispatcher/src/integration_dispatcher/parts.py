"""What a started process holds, for its routes and for tests."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request
from shared_models.database import Database
from shared_models.event_endpoint import EventEndpoint
from shared_models.work_queue import WorkQueue

from integration_dispatcher.accounts import Accounts
from integration_dispatcher.configs import IntegrationConfigs
from integration_dispatcher.dead_letters import DispatcherBox
from integration_dispatcher.inbound.inbox import Inbox
from integration_dispatcher.processor import DeliveryProcessor, Queues
from integration_dispatcher.progress import Progress
from integration_dispatcher.sms_callbacks import SmsCallbacks

if TYPE_CHECKING:
    from integration_dispatcher.mail.doors import MailDoors
    from integration_dispatcher.slack_door import SlackDoor


@dataclass(frozen=True)
class Parts:
    database: Database
    queues: Queues
    processor: DeliveryProcessor
    accounts: Accounts
    configs: IntegrationConfigs
    event_endpoint: EventEndpoint
    dead_letters: DispatcherBox
    refused: WorkQueue
    inbox: Inbox
    progress: Progress
    sms: SmsCallbacks | None
    slack: "SlackDoor | None"
    mail_doors: "MailDoors | None"


async def parts_of(request: Request) -> Parts:
    parts = request.app.state.parts
    assert isinstance(parts, Parts)
    return parts
