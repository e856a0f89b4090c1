"""Handing a mail over: what a mail server says at each verb, and what becomes of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from integration_dispatcher.handlers.base import DeliveryDelayed, DeliveryRejected, IntegrationPaused
from integration_dispatcher.mail.letter import Envelope, Letter
from integration_dispatcher.mail.post_office import PostOffice
from integration_dispatcher.mail.smtp import MailServer
from local_stack.mail.faults import Fault

from tests.support.certificates import tls_pair
from tests.support.mail import AGENT, MailServerUnderTest, mail, mail_server

__all__ = ["mail"]

TO = "ana@example.com"
LETTER = Letter(subject="Your laptop", text="It ships on Monday.\n.\n..dots\n", html="<p>It ships on Monday.</p>")
BEFORE_THE_MAIL = ("CONNECT", "EHLO", "AUTH")
OF_THE_MAIL = ("MAIL", "RCPT", "DATA", "DOT")


def office(server: MailServerUnderTest, **changes: object) -> PostOffice:
    return PostOffice.of(server.settings(**changes))


def envelope() -> Envelope:
    return Envelope(f"IT Help <{AGENT}>", TO, "<one@selfservice.example>", datetime.now(UTC))


CASES = [(verb, code) for verb in BEFORE_THE_MAIL for code in (421, 451, 554)]
CASES += [(verb, code) for verb in OF_THE_MAIL for code in (421, 450, 451, 452, 550, 552)]


@pytest.mark.parametrize(("verb", "code"), CASES, ids=[f"{verb}-{code}" for verb, code in CASES])
async def test_every_code_at_every_verb_has_its_meaning(mail: MailServerUnderTest, verb: str, code: int) -> None:
    mail.standin.faults.add(Fault.model_validate({"verb": verb, "code": code}))
    post = office(mail)
    expected = DeliveryDelayed if code < 500 else IntegrationPaused if verb in BEFORE_THE_MAIL else DeliveryRejected
    with pytest.raises((DeliveryDelayed, IntegrationPaused, DeliveryRejected)) as raised:
        await post.send(LETTER, envelope())
    assert type(raised.value) is expected
    assert raised.value.code == code
    assert "scripted" in raised.value.words
    assert mail.standin.faults.met == [verb]
    assert mail.mails(TO) == []
    assert (post.server.quiet_until > 0) == (code == 421)


async def test_a_server_that_says_421_is_left_alone_for_a_while(mail: MailServerUnderTest) -> None:
    now = 1000.0
    server = MailServer(mail.settings(), clock=lambda: now)
    post = PostOffice.of(mail.settings(), server)
    mail.standin.faults.add(Fault(verb="RCPT", code=421))
    with pytest.raises(DeliveryDelayed):
        await post.send(LETTER, envelope())
    sessions = mail.standin.handler.sessions
    with pytest.raises(DeliveryDelayed) as raised:
        await post.send(LETTER, envelope())
    assert (raised.value.retry_after_s, mail.standin.handler.sessions) == (60.0, sessions)
    now += 61
    await post.send(LETTER, envelope())
    assert len(mail.mails(TO)) == 1


@pytest.mark.parametrize("verb", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_connection_that_breaks_is_tried_again(mail: MailServerUnderTest, verb: str) -> None:
    mail.standin.faults.add(Fault.model_validate({"verb": verb, "drops": True}))
    with pytest.raises(DeliveryDelayed):
        await office(mail).send(LETTER, envelope())
    assert mail.mails(TO) == []


async def test_a_reply_that_is_lost_after_the_mail_was_taken_means_the_same_mail_again(
    mail: MailServerUnderTest,
) -> None:
    mail.standin.faults.add(Fault(verb="DOT", drops=True))
    post = office(mail)
    with pytest.raises(DeliveryDelayed):
        await post.send(LETTER, envelope())
    await post.send(LETTER, envelope())
    assert [each.parsed["message-id"] for each in mail.mails(TO)] == ["<one@selfservice.example>"] * 2


async def test_a_mail_arrives_as_it_was_written(mail: MailServerUnderTest) -> None:
    delivered = await office(mail).send(LETTER, envelope())
    assert (delivered.code, delivered.provider_id) == (250, "<one@selfservice.example>")
    body = mail.only(TO).get_body(("plain",))
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == LETTER.text


async def test_a_server_that_is_not_there_is_tried_again(mail: MailServerUnderTest) -> None:
    with pytest.raises(DeliveryDelayed):
        await office(mail, smtp_port=1).send(LETTER, envelope())


async def test_a_wrong_password_is_no_fault_of_the_mail(mail: MailServerUnderTest) -> None:
    with pytest.raises(IntegrationPaused) as raised:
        await office(mail, smtp_password="wrong").send(LETTER, envelope())
    assert raised.value.code == 535
    with pytest.raises(IntegrationPaused):
        await office(mail, smtp_password="wrong").server.probe()
    await office(mail).server.probe()


async def test_nothing_is_sent_in_the_clear_where_encryption_is_asked_for(mail: MailServerUnderTest) -> None:
    with pytest.raises(DeliveryDelayed):
        await office(mail, smtp_tls="starttls").send(LETTER, envelope())
    assert mail.mails(TO) == []


async def test_starttls_checks_whom_it_talks_to(tmp_path: Path) -> None:
    ours, theirs = tls_pair("localhost", tmp_path)
    async with mail_server(tmp_path / "mail", tls=ours) as server:
        fields = {"smtp_tls": "starttls", "smtp_host": "localhost"}
        settings = server.settings(**fields)
        with pytest.raises(DeliveryDelayed):
            await PostOffice.of(settings).send(LETTER, envelope())
        trusting = MailServer(settings, tls=theirs)
        await PostOffice.of(settings, trusting).send(LETTER, envelope())
        assert len(server.mails(TO)) == 1
        server.standin.faults.add(Fault(verb="STARTTLS", code=454))
        with pytest.raises(DeliveryDelayed):
            await PostOffice.of(settings, trusting).send(LETTER, envelope())
