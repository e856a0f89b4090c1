"""Mails in doubt that wait for their sender: whoever reads that mailbox confirms the mail by a link, and it goes on."""

from collections.abc import Callable
from dataclasses import dataclass

from shared_models.database import Database
from shared_models.logging import get_logger

from integration_dispatcher.mail.links import VerifyLinks
from integration_dispatcher.mail.received import Received
from integration_dispatcher.store import held_mails

log = get_logger(__name__)


@dataclass(frozen=True)
class MailProofs:
    """`wake()` starts the work on what is queued, here and in other replicas."""

    database: Database
    links: VerifyLinks
    wake: Callable[[], None]

    async def waiting(self, token: str) -> Received | None:
        """The mail that the link is for; None if the link is forged, has been used, or is too old. Changes nothing."""
        event_id = self.links.subject_of(token)
        payload = await held_mails.read(self.database, event_id) if event_id is not None else None
        return Received.model_validate(payload) if payload is not None else None

    async def confirm(self, token: str) -> bool:
        """The mail goes on as one whose sender was proven. False as `waiting`: also the second of two who confirm at once."""
        event_id = self.links.subject_of(token)
        if event_id is None or not await held_mails.release(self.database, event_id):
            return False
        log.info("mail_confirmed", inbound_id=str(event_id))
        self.wake()
        return True
