"""Stopping our mails without signing in. Source: RFC 8058."""

from dataclasses import dataclass
from uuid import UUID

from shared_models.database import Database
from shared_models.enums import IntegrationType

from integration_dispatcher.mail.links import UnsubscribeLinks
from integration_dispatcher.store import configs

UNSUBSCRIBED = "You unsubscribed by mail."


@dataclass(frozen=True)
class Unsubscribing:
    database: Database
    links: UnsubscribeLinks

    def is_valid(self, token: str) -> bool:
        return self.links.subject_of(token) is not None

    async def stop(self, token: str) -> bool:
        """Switch the person's deliveries by e-mail off, also when they are. False: the link is forged."""
        user_id = self.links.subject_of(token)
        if user_id is not None:
            await stop_mails(self.database, user_id)
        return user_id is not None


async def stop_mails(database: Database, user_id: UUID) -> None:
    await configs.switch_off(database, user_id, IntegrationType.EMAIL, UNSUBSCRIBED)
