"""Reading the mailbox: each unread mail is recorded, and only then marked as seen. One replica reads at a time."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import parseaddr

from shared_models.database import Database
from shared_models.errors import Unavailable
from shared_models.logging import get_logger
from shared_models.telemetry import MAILS_READ

from integration_dispatcher.mail.imap import Fetched, Mailbox, MailboxUnavailable
from integration_dispatcher.mail.received import MailReader, Received
from integration_dispatcher.settings_email import EmailSettings
from integration_dispatcher.store import mailboxes
from integration_dispatcher.store.inbound import NewInbound

PROVIDER = "email"
PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STANDBY_S = 3.0
UNREADABLE = "The mail could not be read."

log = get_logger(__name__)

type Receive = Callable[[NewInbound], Awaitable[bool]]


class MailboxReader:
    """`receive` records an event and returns when that is committed. `open_mailbox` makes a new connection."""

    def __init__(
        self,
        database: Database,
        worker_id: str,
        reader: MailReader,
        receive: Receive,
        open_mailbox: Callable[[], Mailbox],
    ) -> None:
        self._database = database
        self._worker_id = worker_id
        self._reader = reader
        self._receive = receive
        self._open_mailbox = open_mailbox
        self._pause_s = PAUSE_S
        self._task: asyncio.Task[None] | None = None

    def start(self, name: str, *, poll_s: float) -> None:
        """`name`: that of the mailbox, for the lease; `poll_s`: how long one look waits for news."""
        self._task = asyncio.create_task(self._run(name, poll_s), name="mailbox-reader")

    async def stop(self) -> None:
        """Another replica may read at once."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, name: str, poll_s: float) -> None:
        try:
            while True:
                try:
                    if await mailboxes.take(self._database, name, self._worker_id):
                        await self._read_while_ours(name, poll_s)
                    else:
                        await asyncio.sleep(STANDBY_S)
                except (MailboxUnavailable, Unavailable) as exc:
                    log.warning("mailbox_unavailable", cause=str(exc), retry_after_s=self._pause_s)
                    await self._pause()
                except Exception:
                    log.exception("mailbox_reader_failed")
                    await self._pause()
        finally:
            with suppress(Unavailable):
                await mailboxes.give_back(self._database, name, self._worker_id)

    async def _pause(self) -> None:
        """A longer one each time, until the mailbox can be opened."""
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    async def _read_while_ours(self, name: str, poll_s: float) -> None:
        mailbox = self._open_mailbox()
        try:
            await mailbox.open()
            self._pause_s = PAUSE_S
            log.info("mailbox_open", mailbox=name)
            while await mailboxes.take(self._database, name, self._worker_id):
                if not await self.read_unread(mailbox):
                    await mailbox.wait_for_news(poll_s)
        finally:
            await mailbox.close()

    async def read_unread(self, mailbox: Mailbox) -> int:
        """Take in what is there. Returns how many. Raises MailboxUnavailable, Unavailable."""
        numbers = await mailbox.unread()
        for uid in numbers:
            fetched = await mailbox.fetch(uid)
            if fetched is not None:
                await self._receive(await asyncio.to_thread(self._event, fetched))
                await mailbox.mark_seen(uid)
        return len(numbers)

    def _event(self, fetched: Fetched) -> NewInbound:
        """What is kept of a mail; of one that our code cannot take apart, that there was one."""
        try:
            received = self._reader.read(fetched.raw)
        except Exception:
            log.exception("mail_unreadable", uid=fetched.uid, size_bytes=len(fetched.raw))
            received = Received(problem=UNREADABLE)
        MAILS_READ.labels("unreadable" if received.problem else "read").inc()
        return NewInbound(
            PROVIDER, dedupe_key(received, fetched.raw), conversation(received), received.model_dump(mode="json")
        )


def dedupe_key(received: Received, raw: bytes) -> str:
    """The same for every copy of a mail. A stranger who knows a Message-ID cannot keep the real mail out: theirs is in doubt."""
    if received.message_id and received.sender:
        named = f"{received.message_id}\n{received.sender}\n{bool(received.doubt)}"
        return f"{PROVIDER}:{hashlib.sha256(named.encode()).hexdigest()}"
    return f"{PROVIDER}:{hashlib.sha256(raw).hexdigest()}"


def conversation(received: Received) -> str:
    """Mails of one sender are worked on in order."""
    return f"{PROVIDER}:{received.sender}"


def mailbox_reader(settings: EmailSettings, database: Database, worker_id: str, receive: Receive) -> MailboxReader:
    reader = MailReader(authserv_id=settings.email_trusted_authserv_id, own_address=parseaddr(settings.smtp_from)[1])
    return MailboxReader(database, worker_id, reader, receive, lambda: Mailbox(settings))


def mailbox_name(settings: EmailSettings) -> str:
    """Which mailbox this is, for the lease."""
    return f"{settings.imap_username}@{settings.imap_host}:{settings.imap_port}/{settings.imap_folder}"
