"""Reading the mailbox, from Debian's dovecot and from the stand-in: nothing is seen before it is recorded."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration_dispatcher.mail.imap import Mailbox, MailboxUnavailable
from integration_dispatcher.mail.reader import MailboxReader, mailbox_reader
from integration_dispatcher.mail.received import MAX_RAW_BYTES
from integration_dispatcher.settings_email import EmailSettings
from integration_dispatcher.store.inbound import NewInbound
from pydantic import SecretStr
from shared_models.database import Database
from shared_models.errors import Unavailable

from tests.support.dovecot import ADDRESS, PASSWORD, Dovecot, dovecot, dovecot_server
from tests.support.mail import mail_server
from tests.support.waiting import eventually

__all__ = ["dovecot", "dovecot_server"]


@dataclass
class Box:
    """A mailbox of either kind. `put` and `unseen` are its other side."""

    port: int
    put: Callable[[bytes], Any]
    unseen: Callable[[], Any]

    def settings(self, **changes: Any) -> EmailSettings:
        given: dict[str, Any] = {
            "smtp_host": "127.0.0.1",
            "smtp_from": ADDRESS,
            "imap_host": "127.0.0.1",
            "imap_port": self.port,
            "imap_tls": "none",
            "imap_username": ADDRESS,
            "imap_password": SecretStr(PASSWORD),
            "email_trusted_authserv_id": "mail.local",
        }
        return EmailSettings(**given | changes)


@pytest.fixture(params=["dovecot", "stand-in"])
async def box(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Box]:
    if request.param == "dovecot":
        server: Dovecot = request.getfixturevalue("dovecot")

        async def put(raw: bytes) -> None:
            await asyncio.to_thread(server.put, raw)

        async def unseen() -> int:
            return await asyncio.to_thread(server.unseen)

        yield Box(server.port, put, unseen)
        return
    async with mail_server(tmp_path / "mail") as mail:
        mailboxes = mail.standin.mailboxes

        async def put_there(raw: bytes) -> None:
            await mailboxes.put(ADDRESS, raw)

        async def unseen_there() -> int:
            return sum(1 for each in mailboxes.all(ADDRESS) if not each.is_seen)

        yield Box(mail.imap_port, put_there, unseen_there)


def raw_mail(number: int = 1, *, text: str = "hello") -> bytes:
    return (
        f"Authentication-Results: mail.local; dmarc=pass header.from=example.com\r\nFrom: ana@example.com\r\n"
        f"Message-ID: <{number}@example.com>\r\nSubject: s{number}\r\n\r\n{text}\r\n"
    ).encode()


class Book:
    """Where events are recorded. `is_away`: it cannot commit."""

    def __init__(self) -> None:
        self.events: list[NewInbound] = []
        self.is_away = False

    async def receive(self, new: NewInbound) -> bool:
        if self.is_away:
            raise Unavailable
        self.events.append(new)
        return True

    @property
    def subjects(self) -> list[str]:
        return [str(each.payload["subject"]) for each in self.events]


def reader_of(box: Box, book: Book, database_url: str = "postgresql://nobody@127.0.0.1:1/none") -> MailboxReader:
    return mailbox_reader(box.settings(), Database(database_url), "worker", book.receive)


async def opened(box: Box, **changes: Any) -> Mailbox:
    mailbox = Mailbox(box.settings(**changes))
    await mailbox.open()
    return mailbox


async def test_mail_is_marked_as_seen_when_it_is_recorded_and_not_before(box: Box) -> None:
    for number in (1, 2):
        await box.put(raw_mail(number))
    book = Book()
    book.is_away = True
    reader, mailbox = reader_of(box, book), await opened(box)
    with pytest.raises(Unavailable):
        await reader.read_unread(mailbox)
    assert await box.unseen() == 2
    book.is_away = False
    assert await reader.read_unread(mailbox) == 2
    assert (book.subjects, await box.unseen()) == (["s1", "s2"], 0)
    assert await reader.read_unread(mailbox) == 0
    await mailbox.close()


async def test_a_mail_that_was_recorded_and_not_marked_is_the_same_event_again(box: Box) -> None:
    await box.put(raw_mail())
    book = Book()
    first, second = await opened(box), await opened(box)
    [uid] = await first.unread()
    for mailbox in (first, second):
        fetched = await mailbox.fetch(uid)
        assert fetched is not None
        await book.receive(reader_of(box, book)._event(fetched))
        await mailbox.close()
    assert len({each.dedupe_key for each in book.events}) == 1
    assert len(book.events) == 2


async def test_a_huge_mail_is_read_at_its_beginning(box: Box) -> None:
    await box.put(raw_mail(text="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 40_000))
    mailbox = await opened(box)
    [uid] = await mailbox.unread()
    fetched = await mailbox.fetch(uid)
    assert fetched is not None
    assert len(fetched.raw) == MAX_RAW_BYTES
    await mailbox.close()


async def test_a_wrong_password_is_told_apart(box: Box) -> None:
    with pytest.raises(MailboxUnavailable) as raised:
        await opened(box, imap_password=SecretStr("wrong"))
    assert raised.value.refuses


async def test_a_mailbox_that_is_not_there_yet_is_read_as_soon_as_it_is(box: Box) -> None:
    mailbox = Mailbox(box.settings(imap_port=1))
    with pytest.raises(MailboxUnavailable) as raised:
        await mailbox.open()
    assert not raised.value.refuses
    await mailbox.close()
    await (await opened(box)).close()


async def test_waiting_for_news_ends_when_mail_comes(box: Box) -> None:
    mailbox = await opened(box)
    waiting = asyncio.create_task(mailbox.wait_for_news(600))
    await box.put(raw_mail())
    await asyncio.wait_for(waiting, 60)
    assert len(await mailbox.unread()) == 1
    await mailbox.close()


async def test_closing_ends_a_wait(box: Box) -> None:
    mailbox = await opened(box)
    waiting = asyncio.create_task(mailbox.wait_for_news(600))
    await asyncio.sleep(0)
    await mailbox.close()
    with pytest.raises(MailboxUnavailable):
        await asyncio.wait_for(waiting, 60)


async def test_one_replica_reads_and_another_takes_over(box: Box, database_url: str) -> None:
    book, database = Book(), Database(database_url, role="ssa_integration_dispatcher")
    await database.open()
    statement = (
        "insert into workers (id, service, host, pid, alive_until) values ($1, 's', 'h', 1, now() + interval '1 hour')"
    )
    for name in ("one", "two"):
        await database.execute(statement, name)
    readers = [mailbox_reader(box.settings(), database, name, book.receive) for name in ("one", "two")]
    for reader in readers:
        reader.start("the mailbox", poll_s=30)

    async def owner() -> object:
        return await database.fetchval("select worker_id from mailbox_readers")

    first = await eventually(owner)
    await box.put(raw_mail(1))
    await eventually_read(book, ["s1"])
    await readers[0 if first == "one" else 1].stop()
    await box.put(raw_mail(2))
    await eventually_read(book, ["s1", "s2"])
    assert await owner() == ("two" if first == "one" else "one")
    for reader in readers:
        await reader.stop()
    assert await owner() is None
    await database.close()


async def eventually_read(book: Book, subjects: list[str]) -> None:
    async def is_read() -> bool:
        # A reader that is stopped between recording a mail and marking it leaves it to the next one: a repetition.
        return list(dict.fromkeys(book.subjects)) == subjects

    await eventually(is_read)
