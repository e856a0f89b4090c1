"""integration-dispatcher with a mail server; request-manager, which it brings mails to, is a list."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid5

import httpx
import pytest
from shared_models.api import EmailRequest, RequestAccepted, ResolveBody, UserView
from shared_models.enums import RequestStatus
from shared_models.errors import NotFound
from shared_models.ids import new_id

from tests.support.dispatcher import Dispatcher, Json, running, settings
from tests.support.mail import MailServerUnderTest, mail_server, text_of
from tests.support.waiting import eventually

ANA = "ana@example.com"
LINKS_URL = "http://dispatcher"
KNOWN = {ANA, "ben@example.com"}


def user_id(email: str) -> UUID:
    return uuid5(UUID(int=7), email)


@dataclass
class FakeManager:
    """Knows two people, and notes each new request. `lost`: sessions that have ended."""

    asked: list[EmailRequest] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    lost: set[UUID] = field(default_factory=set)

    async def take(self, request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/api/v1/users/resolve":
            body = ResolveBody.model_validate_json(request.content)
            if body.email not in KNOWN:
                return refusal()
            view = UserView(user_id=user_id(body.email or ""), email=body.email or "", name=body.name)
            return httpx.Response(200, content=view.model_dump_json())
        if request.url.path != "/api/v1/requests/email":
            return None
        asked = EmailRequest.model_validate_json(request.content)
        if asked.session_id in self.lost:
            return refusal()
        if request.headers["idempotency-key"] not in self.keys:
            self.keys.add(request.headers["idempotency-key"])
            self.asked.append(asked)
        accepted = RequestAccepted(request_id=new_id(), session_id=new_id(), status=RequestStatus.ACCEPTED)
        return httpx.Response(202, content=accepted.model_dump_json())


def refusal() -> httpx.Response:
    problem = {"type": "about:blank", "title": "Not found", "status": 404, "code": NotFound.code}
    return httpx.Response(404, json=problem, headers={"content-type": "application/problem+json"})


@dataclass
class MailIn:
    dispatcher: Dispatcher
    manager: FakeManager
    mail: MailServerUnderTest

    async def ended(self, count: int = 1) -> list[Json]:
        """The events, as soon as that many have come to an end."""

        async def rows() -> list[Json]:
            found = await self.dispatcher.parts.database.fetch(
                "select * from inbound_events where state <> 'received' order by id"
            )
            return [dict(row) for row in found] if len(found) >= count else []

        return await eventually(rows)

    async def answer(self, mailbox: str = ANA) -> str:
        [mail] = await self.mail.arrived(mailbox)
        return " ".join(text_of(mail.parsed).split())


@pytest.fixture
async def mail_in(database_url: str, tmp_path: Path) -> AsyncIterator[MailIn]:
    manager = FakeManager()
    async with mail_server(tmp_path / "mail") as mail:
        given = settings(
            database_url, imap_poll_s=1.0, email_links_url=LINKS_URL, **mail.smtp_fields(), **mail.imap_fields()
        )
        async with running(given, manager.take) as dispatcher:
            yield MailIn(dispatcher, manager, mail)
