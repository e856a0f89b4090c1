"""The mail stand-in inside the test's own event loop, and the settings that lead to it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from integration_dispatcher.settings_email import EmailSettings
from local_stack.mail.imap import ImapAccount, serving_imap
from local_stack.mail.mailboxes import Draft, Mail
from local_stack.mail.settings import MailSettings
from local_stack.mail.smtp import serve_smtp
from local_stack.mail.standin import MailStandin
from local_stack.mail.wiring import AUTHSERV_ID
from pydantic import SecretStr

from tests.support.waiting import eventually

AGENT = "it@selfservice.example"
PASSWORD = "the-password-of-the-mailbox"


@dataclass
class MailServerUnderTest:
    """`standin` is what tests script and read; `smtp_port` is where mail is taken."""

    standin: MailStandin
    smtp_port: int
    imap_port: int

    def settings(self, **changes: Any) -> EmailSettings:
        return EmailSettings(**self.smtp_fields(**changes))

    def smtp_fields(self, **changes: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            "smtp_host": "127.0.0.1",
            "smtp_port": self.smtp_port,
            "smtp_tls": "none",
            "smtp_username": AGENT,
            "smtp_password": SecretStr(PASSWORD),
            "smtp_from": f"IT Help <{AGENT}>",
            "smtp_timeout_s": 60.0,
        }
        return given | changes

    def imap_fields(self) -> dict[str, Any]:
        return {
            "imap_host": "127.0.0.1",
            "imap_port": self.imap_port,
            "imap_tls": "none",
            "imap_username": AGENT,
            "imap_password": SecretStr(PASSWORD),
            "email_trusted_authserv_id": AUTHSERV_ID,
        }

    async def write(self, sender: str, subject: str, text: str, **draft: Any) -> Mail:
        """A mail from a person to the agent."""
        return await self.standin.send(Draft(sender, AGENT, subject, text, **draft))

    async def arrived(self, mailbox: str, count: int = 1) -> list[Mail]:
        """The mails of a mailbox, as soon as there are that many."""

        async def are_there() -> bool:
            return len(self.mails(mailbox)) >= count

        await eventually(are_there)
        return self.mails(mailbox)

    def mails(self, mailbox: str) -> list[Mail]:
        return self.standin.mailboxes.all(mailbox)

    def only(self, mailbox: str) -> EmailMessage:
        [mail] = self.mails(mailbox)
        return mail.parsed


@asynccontextmanager
async def mail_server(
    folder: Path, tls: ssl.SSLContext | None = None, *, people: str = ""
) -> AsyncIterator[MailServerUnderTest]:
    standin = MailStandin(folder, MailSettings(agent_address=AGENT, password=SecretStr(PASSWORD), people=people))
    smtp = await serve_smtp(standin.handler, tls=tls)
    async with serving_imap(ImapAccount(standin.mailboxes, AGENT, PASSWORD)) as imap_port:
        yield MailServerUnderTest(standin, smtp.sockets[0].getsockname()[1], imap_port)
    smtp.close()


@pytest.fixture
async def mail(tmp_path: Path) -> AsyncIterator[MailServerUnderTest]:
    async with mail_server(tmp_path / "mail") as server:
        yield server


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())
