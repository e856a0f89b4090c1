"""Where providers come in besides HTTP routes of our own. Each is there, and imported, only when it is set up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared_models.database import Database

from integration_dispatcher.inbound.inbox import DOOR_CONNECTIONS, Inbox
from integration_dispatcher.settings import Settings
from integration_dispatcher.vault import Vault

if TYPE_CHECKING:
    from integration_dispatcher.mail.doors import MailDoors
    from integration_dispatcher.slack_door import SlackDoor


def slack_door(settings: Settings, inbox: Inbox) -> "SlackDoor | None":
    if not settings.has_slack:
        return None
    # Imported here: Bolt costs a process memory and start-up time that has no Slack.
    from integration_dispatcher.slack_door import SlackDoor

    return SlackDoor(settings, inbox.receive)


@asynccontextmanager
async def listening_to_slack(settings: Settings, door: "SlackDoor", inbox: Inbox) -> AsyncIterator[None]:
    async with inbox.recording_by(Database.of(settings, pool_size=DOOR_CONNECTIONS)):
        door.start()
        try:
            yield
        finally:
            await door.stop()


def mail_doors(settings: Settings, database: Database, inbox: Inbox) -> "MailDoors | None":
    """None: our mails hold no links."""
    if not settings.has_mail_links:
        return None
    # Imported here: as below.
    from integration_dispatcher.mail.doors import MailDoors
    from integration_dispatcher.mail.links import UnsubscribeLinks, VerifyLinks
    from integration_dispatcher.mail.proofs import MailProofs
    from integration_dispatcher.mail.unsubscribing import Unsubscribing

    vault, url = Vault(settings.keys), settings.email_links_url
    proofs = MailProofs(database, VerifyLinks(vault, url), inbox.wake)
    return MailDoors(proofs, Unsubscribing(database, UnsubscribeLinks(vault, url)))


@asynccontextmanager
async def reading_mail(settings: Settings, database: Database, worker_id: str, inbox: Inbox) -> AsyncIterator[None]:
    # Imported here: reading mail costs a process nothing that has no mailbox.
    from integration_dispatcher.mail.reader import mailbox_name, mailbox_reader

    reader = mailbox_reader(settings, database, worker_id, inbox.receive)
    reader.start(mailbox_name(settings), poll_s=settings.imap_poll_s)
    try:
        yield
    finally:
        await reader.stop()
