"""What comes of a mail: a request, a plain answer, a delivery that failed after all, or nothing."""

import pytest
from integration_dispatcher.mail.ids import message_id
from local_stack.mail.mailboxes import Mail
from shared_models.ids import new_id

from tests.support.dispatcher import PREFERRED, ended
from tests.support.mail import AGENT
from tests.support.mail_in import ANA, MailIn, user_id
from tests.support.waiting import eventually


async def test_a_verified_mail_becomes_a_request_of_its_sender(mail_in: MailIn) -> None:
    await mail_in.mail.write(f"Ana <{ANA}>", "My laptop", "It is slow.\n\nKind regards,\nAna")
    [event] = await mail_in.ended()
    assert (event["state"], event["user_id"]) == ("forwarded", user_id(ANA))
    [asked] = mail_in.manager.asked
    assert (asked.content, asked.subject, asked.email_from) == ("My laptop\n\nIt is slow.", "My laptop", ANA)
    assert (asked.session_id, asked.references) == (None, [])


async def test_copies_of_a_mail_are_one_request(mail_in: MailIn) -> None:
    mail = await mail_in.mail.write(ANA, "s", "hello there")
    await mail_in.mail.standin.mailboxes.put(AGENT, mail.raw)
    await mail_in.mail.write(ANA, "s", "the end")
    await mail_in.ended(2)
    assert [each.content for each in mail_in.manager.asked] == ["s\n\nhello there", "s\n\nthe end"]


@pytest.mark.parametrize("has_ended", [False, True])
async def test_an_answer_to_our_mail_goes_on_with_its_session_while_that_lasts(
    mail_in: MailIn, has_ended: bool
) -> None:
    session = new_id()
    if has_ended:
        mail_in.manager.lost.add(session)
    ours = message_id(str(new_id()), session, AGENT.partition("@")[2])
    await mail_in.mail.write(ANA, "Re: s", "yes\n\nOn Monday, IT wrote:\n> Shall I?", in_reply_to=ours)
    await mail_in.ended()
    [asked] = mail_in.manager.asked
    assert (asked.content, asked.session_id) == ("yes", None if has_ended else session)


async def test_a_stranger_is_told_to_sign_in_first(mail_in: MailIn) -> None:
    await mail_in.mail.write("new@example.com", "s", "Order me a laptop")
    [event] = await mail_in.ended()
    assert event["state"] == "answered"
    assert "sign in once" in await mail_in.answer("new@example.com")
    assert mail_in.manager.asked == []


async def test_a_mail_without_words_is_answered_so(mail_in: MailIn) -> None:
    await mail_in.mail.write(ANA, "", "\n> only a quote\n")
    await mail_in.ended()
    assert "held no words" in await mail_in.answer()


async def test_automatic_mail_is_not_answered(mail_in: MailIn) -> None:
    await mail_in.mail.write(ANA, "Out of office", "I am away.", headers=(("Auto-Submitted", "auto-replied"),))
    [event] = await mail_in.ended()
    assert (event["state"], event["reason"], event["payload"]) == ("ignored", "automatic mail: Auto-Submitted", {})
    assert mail_in.mail.mails(ANA) == []


async def test_unsubscribing_switches_deliveries_by_mail_off(mail_in: MailIn) -> None:
    await mail_in.mail.write(ANA, "unsubscribe", "please")
    await mail_in.ended()
    assert "no more mail" in await mail_in.answer()
    effective = await mail_in.dispatcher.get("/api/v1/users/{me}/integration-defaults", user_id(ANA))
    [email] = [each for each in effective["items"] if each["integration"] == "email"]
    assert not email["enabled"]


async def test_the_sixth_mail_of_an_hour_is_a_dead_letter_and_nobody_hears_of_it(mail_in: MailIn) -> None:
    for number in range(6):
        await mail_in.mail.write(ANA, f"s{number}", "hello there")
    events = await mail_in.ended(6)
    await mail_in.dispatcher.idle()
    assert sorted(event["state"] for event in events) == ["failed"] + ["forwarded"] * 5
    assert [("mail_note" in each.metadata) for each in mail_in.manager.asked] == [False] * 4 + [True]
    assert mail_in.mail.mails(ANA) == []
    dead = await mail_in.dispatcher.parts.database.fetchval(
        "select last_error from work_items where dead_at is not null"
    )
    assert "5 answers within an hour" in str(dead)


async def test_a_mail_that_comes_back_has_failed_and_the_next_integration_takes_over(mail_in: MailIn) -> None:
    me = new_id()
    await mail_in.dispatcher.plan(ended(me, PREFERRED))
    [sent] = await mail_in.mail.arrived(ANA)
    await mail_in.dispatcher.idle()
    assert await mail_in.dispatcher.statuses(me) == {"email": "delivered"}
    await mail_in.mail.standin.mailboxes.put(AGENT, report_on(sent))

    async def has_moved_on() -> bool:
        return await mail_in.dispatcher.statuses(me) == {"email": "failed", "test": "delivered"}

    await eventually(has_moved_on)
    [delivery] = [each for each in await mail_in.dispatcher.deliveries(me) if each["integration"] == "email"]
    attempts = await mail_in.dispatcher.attempts(delivery["delivery_id"], me)
    assert [each["outcome"] for each in attempts] == ["delivered", "rejected"]
    assert "550 no such user" in str(attempts[-1])


def report_on(mail: Mail) -> bytes:
    return (
        b"From: MAILER-DAEMON@mx.example\r\nReturn-Path: <>\r\nMessage-ID: <d@mx.example>\r\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="bb"\r\n\r\n'
        b"--bb\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        b"Final-Recipient: rfc822; ana@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        b"Diagnostic-Code: smtp; 550 no such user\r\n\r\n"
        b"--bb\r\nContent-Type: message/rfc822\r\n\r\n" + mail.raw + b"\r\n--bb--\r\n"
    )
