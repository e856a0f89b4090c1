"""Mails of ours: headers that cannot be broken, threads, words in text and HTML."""

import base64
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from uuid import UUID, uuid4

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from integration_dispatcher.domain.templates import UNREAD_FILES
from integration_dispatcher.mail.answers import MAIL_NOTE, answer_letter, notice_letter
from integration_dispatcher.mail.ids import deliveries_in, message_id, session_of
from integration_dispatcher.mail.letter import (
    DkimKey,
    Envelope,
    Letter,
    Unsendable,
    check_address,
    compose,
    signed,
)
from integration_dispatcher.mail.render import html_of
from shared_models.enums import IntegrationType
from shared_models.ids import new_id
from shared_models.schemas import AgentResponse, Citation, Confirmation, DeliveryWish

from tests.support.dispatcher import ended

DOMAIN = "selfservice.example"
AT = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)


def sent(letter: Letter, **envelope: object) -> EmailMessage:
    """As a receiver reads it."""
    given = {"sender": f"IT Help <it@{DOMAIN}>", "to": "ana@example.com", "message_id": "<a@b>", "sent_at": AT}
    raw = compose(letter, Envelope(**(given | envelope))).as_bytes()  # type: ignore[arg-type]
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    return message_from_bytes(raw, policy=default)


def answer(*, context: dict[str, object] | None = None, content: str = "Your laptop ships on Monday.") -> AgentResponse:
    """To a question by mail when a `context` is given."""
    if context is None:
        return ended(uuid4(), DeliveryWish(mode="preferred"), content=content)
    wish = DeliveryWish.model_validate({"mode": "origin", "targets": ["email"], "context": context})
    return ended(uuid4(), wish, content=content).model_copy(update={"integration_type": IntegrationType.EMAIL})


def letter_of(given: AgentResponse) -> Letter:
    return answer_letter(given, domain=DOMAIN)


ASKED = {"email_from": "ana@example.com", "message_id": "<q2@example.com>", "subject": "My laptop"}


def test_an_answer_stands_in_the_thread_of_its_question() -> None:
    references = ["<q1@example.com>", "<a1@selfservice.example>"]
    mail = sent(letter_of(answer(context={**ASKED, "references": references})))
    assert mail["subject"] == "Re: My laptop"
    assert mail["in-reply-to"] == "<q2@example.com>"
    assert str(mail["references"]).split()[:3] == [*references, "<q2@example.com>"]


def test_an_answer_to_a_question_from_elsewhere_has_its_own_subject_and_names_its_session() -> None:
    given = answer(content="## Your laptop\nIt ships on Monday.")
    mail = sent(letter_of(given))
    assert (mail["subject"], mail["in-reply-to"]) == ("Your laptop", None)
    assert session_of(str(mail["references"]).split(), DOMAIN) == given.session_id


def test_a_message_id_is_the_same_on_every_try_and_leads_back_to_delivery_and_session() -> None:
    delivery, session = new_id(), new_id()
    names = {message_id(f"{delivery}.2", session, DOMAIN) for _ in range(3)}
    [name] = names
    assert deliveries_in(f"Message-ID: {name}", DOMAIN) == [delivery]
    assert session_of(["<other@example.com>", name], DOMAIN) == session
    assert session_of([name], "elsewhere.example") is None


def test_our_mail_says_that_it_is_automatic() -> None:
    mail = sent(letter_of(answer()))
    assert mail["auto-submitted"] == "auto-replied"
    assert "OOF" in str(mail["x-auto-response-suppress"])
    assert sent(letter_of(answer()), is_reply=False)["auto-submitted"] == "auto-generated"


def test_a_notice_can_be_unsubscribed_from_with_one_click() -> None:
    ways = ("mailto:it@selfservice.example?subject=unsubscribe", "https://help.example.com/unsubscribe/token")
    mail = sent(notice_letter("Prove your address", "Your code is 123456."), unsubscribe=ways)
    assert all(f"<{way}>" in str(mail["list-unsubscribe"]) for way in ways)
    assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"


HOSTILE = "x\r\nBcc: victim@example.com\r\n\r\nbody"


@pytest.mark.parametrize(
    "letter",
    [
        Letter(subject=HOSTILE, text="t", html="h"),
        Letter(subject="s", text="t", html="h", in_reply_to=f"<{HOSTILE}>"),
        Letter(subject="s", text="t", html="h", references=["<a@b>", f"<{HOSTILE}>"]),
    ],
    ids=["subject", "in-reply-to", "references"],
)
def test_no_value_ends_its_header(letter: Letter) -> None:
    mail = sent(letter)
    assert mail["bcc"] is None
    assert mail.get_body(("plain",)).get_content().strip() == "t"  # type: ignore[union-attr]


def test_an_address_with_a_line_break_is_refused() -> None:
    with pytest.raises(Unsendable):
        sent(letter_of(answer()), to="ana@example.com\r\nBcc: victim@example.com")


def test_a_name_of_ours_with_a_line_break_stays_a_name() -> None:
    assert sent(letter_of(answer()), sender="IT\r\nBcc: victim@example.com <it@selfservice.example>")["bcc"] is None


@given(st.text(max_size=300))
def test_any_subject_survives_on_one_line(subject: str) -> None:
    mail = sent(Letter(subject=subject, text="t", html="h"))
    assert mail["bcc"] is None
    assert not any(character in str(mail["subject"]) for character in "\r\n\u2028\u202e")


def test_a_long_subject_is_folded_and_comes_back_whole() -> None:
    subject = "Größere Änderung am VPN für Überstunden: " + "sehr " * 30
    assert sent(Letter(subject=subject, text="t", html="h"))["subject"] == " ".join(subject.split())[:200].strip()


def test_long_message_ids_are_folded_without_being_changed() -> None:
    ids = [f"<{'x' * 180}{place}@outlook.example>" for place in range(80)]
    mail = sent(Letter(subject="s", text="t", html="h", in_reply_to=ids[0], references=ids))
    assert str(mail["references"]).split() == [ids[0], *ids[-49:]]


@pytest.mark.parametrize(
    ("given", "known"), [("Ana@Example.COM", "Ana@example.com"), ("ana@bücher.example", "ana@xn--bcher-kva.example")]
)
def test_an_address_has_one_spelling(given: str, known: str) -> None:
    assert check_address(given) == known


@pytest.mark.parametrize(
    "given", ["", "ana", "@example.com", "a b@example.com", "a@b@c", "ana@", "a@example.com, b@c", "<a@b>"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(Unsendable):
        check_address(given)


def test_a_confirmation_can_be_answered_by_words_alone() -> None:
    asked = Confirmation(id=new_id(), tool="order", effect="Order a MacBook Air", arguments={}, expires_at=AT)
    given = answer()
    assert given.response is not None
    response = given.response.model_copy(
        update={"confirmation": asked, "citations": [Citation(document="Laptops", section="Renewal")]}
    )
    letter = letter_of(given.model_copy(update={"response": response}))
    assert 'Please confirm: Order a MacBook Air\nAnswer this mail with "yes" or "no".' in letter.text
    assert "Order a MacBook Air" in letter.html
    assert "- Laptops, Renewal" in letter.text


def test_a_text_names_its_conversation_and_request() -> None:
    given = answer()
    text = letter_of(given).text
    assert f"Conversation {given.session_id}, request {given.request_id}" in text


def test_what_was_attached_is_named_as_not_read() -> None:
    given = answer(context=dict(ASKED)).model_copy(update={"metadata": {UNREAD_FILES: ["error.png", "log.txt"]}})
    assert "`error.png`, `log.txt`" in letter_of(given).text


def test_html_of_a_model_is_shown_as_text_and_links_show_their_host() -> None:
    html = html_of("<script>x</script> [log in](https://evil.example/a) ![p](http://t.example/p.png) [x](javascript:y)")
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html
    assert "log in</a> (evil.example)" in html


def test_headings_and_notes_are_escaped() -> None:
    given = answer(context={**ASKED, "subject": "<b>hi</b>"}).model_copy(update={"metadata": {MAIL_NOTE: "<i>note"}})
    html = letter_of(given).html
    assert "<title>Re: &lt;b&gt;hi&lt;/b&gt;</title>" in html
    assert "&lt;i&gt;note" in html


def test_a_signature_covers_the_headers_that_matter() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    envelope = Envelope(f"it@{DOMAIN}", "ana@example.com", "<a@b>", AT)
    raw = signed(compose(letter_of(answer()), envelope).as_bytes(), DkimKey(DOMAIN, "mail", pem))

    def look_up(_name: bytes, timeout: int = 5) -> bytes:
        return record

    assert dkim.verify(raw, dnsfunc=look_up)
    for name in (b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted"):
        before, _, after = raw.partition(b"\r\n" + name + b": ")
        assert not dkim.verify(before + b"\r\n" + name + b": x" + after, dnsfunc=look_up), name


def test_session_ids_in_message_ids_are_whole() -> None:
    session = UUID(int=7)
    assert session_of([f"<{session.hex}@{DOMAIN}>"], DOMAIN) == session
