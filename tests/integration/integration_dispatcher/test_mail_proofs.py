"""A mail whose sender is in doubt goes on once its sender confirms it by the link that was sent to them."""

import asyncio
import re
from pathlib import Path
from uuid import UUID

import pytest
import structlog
from integration_dispatcher.inbound import email
from integration_dispatcher.mail import proofs
from integration_dispatcher.mail.links import VerifyLinks
from integration_dispatcher.store.retention import removals
from integration_dispatcher.vault import Vault
from shared_models import web
from shared_models.ids import new_id
from shared_models.retention import Retention

from tests.support.dispatcher import all_rows, running, settings
from tests.support.mail import MailServerUnderTest, mail_server, text_of
from tests.support.mail_in import ANA, LINKS_URL, FakeManager, MailIn, user_id
from tests.support.waiting import eventually

STRANGER = "new@example.com"


async def held(mail_in: MailIn, sender: str = ANA, text: str = "It is <b>slow</b>.") -> str:
    """A forged or unproven mail that waits. Returns the link that its sender was sent."""
    await mail_in.mail.write(sender, "My laptop", text, is_forged=True)

    async def is_held() -> bool:
        return (f"email:{sender}", "held") in [(each["conversation"], each["state"]) for each in await mail_in.ended()]

    await eventually(is_held)
    return link_in(mail_in.mail, sender)


def link_in(mail: MailServerUnderTest, mailbox: str) -> str:
    [link] = re.findall(rf"<({LINKS_URL}/email/verify/\w+)>", text_of(mail.mails(mailbox)[0].parsed))
    return str(link)


async def statuses(mail_in: MailIn, link: str) -> list[int]:
    """Of opening the page and of pressing its button."""
    http = mail_in.dispatcher.http
    return [(await http.get(link)).status_code, (await http.post(link)).status_code]


async def test_a_doubtful_mail_goes_on_once_as_if_its_sender_had_been_proven(mail_in: MailIn) -> None:
    link = await held(mail_in)
    assert mail_in.manager.asked == []
    reply = await mail_in.dispatcher.http.post(link)
    assert (reply.status_code, "Thank you" in reply.text) == (200, True)
    [event] = await mail_in.ended()
    assert (event["state"], event["user_id"], event["reason"]) == ("forwarded", user_id(ANA), "")
    assert await statuses(mail_in, link) == [410, 410]
    await mail_in.dispatcher.idle()
    [asked] = mail_in.manager.asked
    assert (asked.content, asked.email_from) == ("My laptop\n\nIt is <b>slow</b>.", ANA)
    assert asked.message_id == str(mail_in.mail.only(ANA)["in-reply-to"])
    assert "mail_note" not in asked.metadata


async def test_opening_the_page_shows_the_mail_and_does_nothing(mail_in: MailIn) -> None:
    link = await held(mail_in)
    for _ in range(2):
        page = await mail_in.dispatcher.http.get(link)
        assert page.status_code == 200
        assert "It is &lt;b&gt;slow&lt;/b&gt;." in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    await mail_in.dispatcher.idle()
    assert [event["state"] for event in await mail_in.ended()] == ["held"]
    assert mail_in.manager.asked == []


async def test_of_two_who_confirm_at_once_one_does(mail_in: MailIn) -> None:
    link = await held(mail_in)
    replies = await asyncio.gather(*(mail_in.dispatcher.http.post(link) for _ in range(5)))
    assert sorted(reply.status_code for reply in replies) == [200, 410, 410, 410, 410]
    await mail_in.ended()
    await mail_in.dispatcher.idle()
    assert len(mail_in.manager.asked) == 1


async def test_a_forged_link_does_nothing(mail_in: MailIn) -> None:
    link = await held(mail_in)
    [event] = await mail_in.ended()
    strange = VerifyLinks(Vault([b"x" * 32]), LINKS_URL)
    forged = [
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link + "0",
        link[:-64],
        link.upper().replace("HTTP://DISPATCHER/EMAIL/VERIFY", f"{LINKS_URL}/email/verify"),
        f"{LINKS_URL}/email/verify/{new_id().hex}{link[-64:]}",
        strange.url(UUID(str(event["id"]))),
        f"{LINKS_URL}/email/verify/%00",
    ]
    for each in forged:
        assert await statuses(mail_in, each) == [410, 410], each
    await mail_in.dispatcher.idle()
    assert mail_in.manager.asked == []


async def test_after_a_day_the_link_is_not_valid_and_the_words_are_gone(mail_in: MailIn) -> None:
    link = await held(mail_in, text="my secret canary")
    await mail_in.dispatcher.sql("update inbound_events set received_at = now() - interval '25 hours'")
    assert await statuses(mail_in, link) == [410, 410]
    database = mail_in.dispatcher.parts.database
    removed = await Retention(database, removals(settings("postgresql://not-used"))).run_once()
    [event] = await mail_in.ended()
    assert (removed["held_mails"], event["state"], event["payload"]) == (1, "ignored", {})
    assert mail_in.manager.asked == []


async def test_nothing_tells_whether_an_address_is_known(mail_in: MailIn) -> None:
    links = {sender: await held(mail_in, sender) for sender in (ANA, STRANGER)}
    told = {text_of(mail_in.mail.mails(each)[0].parsed).replace(link, "") for each, link in links.items()}
    pages = {(await mail_in.dispatcher.http.get(link)).text.replace(each, "") for each, link in links.items()}
    ends = {(await mail_in.dispatcher.http.post(link)).text for link in links.values()}
    assert (len(told), len(pages), len(ends)) == (1, 1, 1)
    assert "sign in once" in " ".join(text_of((await mail_in.mail.arrived(STRANGER, 2))[1].parsed).split())


async def test_spoofed_mails_are_told_of_once_an_hour_and_make_no_request(mail_in: MailIn) -> None:
    for number in range(10):
        await mail_in.mail.write(ANA, f"Order {number}", "Order me a laptop", is_forged=True)
    events = await mail_in.ended(10)
    assert sorted(event["state"] for event in events) == ["held", *["ignored"] * 9]
    assert (len(mail_in.mail.mails(ANA)), mail_in.manager.asked) == (1, [])


async def test_no_table_and_no_log_holds_a_link(
    mail_in: MailIn, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = structlog.testing.CapturingLogger()
    for module in (web, proofs, email):
        monkeypatch.setattr(module, "log", logs)
    link = await held(mail_in)
    rows = await all_rows(database_url)
    assert await statuses(mail_in, link) == [200, 200]
    await mail_in.dispatcher.idle()
    shown = str(logs.calls)
    assert "mail_unverified" in shown
    assert shown.count("/email/verify/{token}") == 2
    assert "mail_confirmed" in shown
    assert link[-64:] not in rows + shown


async def test_without_an_address_for_links_there_is_a_plain_answer(database_url: str, tmp_path: Path) -> None:
    manager = FakeManager()
    async with mail_server(tmp_path / "mail") as mail:
        given = settings(database_url, imap_poll_s=1.0, **mail.smtp_fields(), **mail.imap_fields())
        async with running(given, manager.take) as dispatcher:
            mail_in = MailIn(dispatcher, manager, mail)
            await mail.write(ANA, "s", "Order me a laptop", is_forged=True)
            [event] = await mail_in.ended()
            assert event["state"] == "answered"
            assert "ask on the web" in await mail_in.answer()
            assert await statuses(mail_in, f"{LINKS_URL}/email/verify/x") == [404, 404]


@pytest.mark.parametrize("token", ["", "0" * 96, "0" * 95, "g" * 96, "٠" * 96])
def test_only_our_own_tokens_stand_for_a_mail(token: str) -> None:
    assert VerifyLinks(Vault([b"k" * 32]), LINKS_URL).subject_of(token) is None


def test_links_outlive_a_change_of_the_key() -> None:
    event_id = new_id()
    token = VerifyLinks(Vault([b"k" * 32]), LINKS_URL).url(event_id).rpartition("/")[2]
    assert VerifyLinks(Vault([b"n" * 32, b"k" * 32]), LINKS_URL).subject_of(token) == event_id
    assert VerifyLinks(Vault([b"n" * 32]), LINKS_URL).subject_of(token) is None
