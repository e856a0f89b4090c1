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
from local_stack.mail.mailboxes import Mail
from local_stack.mail.settings import MailSettings
from local_stack.mail.smtp import serve_smtp
from local_stack.mail.standin import MailStandin
from pydantic import SecretStr

AGENT = "it@selfservice.example"
PASSWORD = "the-password-of-the-mailbox"


@dataclass
class MailServerUnderTest:
    """`standin` is what tests script and read; `smtp_port` is where mail is taken."""

    standin: MailStandin
    smtp_port: int

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
            "smtp_timeout_s": 5.0,
        }
        return given | changes

    def mails(self, mailbox: str) -> list[Mail]:
        return self.standin.mailboxes.all(mailbox)

    def only(self, mailbox: str) -> EmailMessage:
        [mail] = self.mails(mailbox)
        return mail.parsed


@asynccontextmanager
async def mail_server(folder: Path, tls: ssl.SSLContext | None = None) -> AsyncIterator[MailServerUnderTest]:
    standin = MailStandin(folder, MailSettings(agent_address=AGENT, password=SecretStr(PASSWORD)))
    server = await serve_smtp(standin.handler, tls=tls)
    try:
        yield MailServerUnderTest(standin, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def mail(tmp_path: Path) -> AsyncIterator[MailServerUnderTest]:
    async with mail_server(tmp_path / "mail") as server:
        yield server


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())
