"""Mail of strangers: who is believed, what is read, and what no mail can do."""

import random
import time
from email.message import EmailMessage
from email.policy import SMTP
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from integration_dispatcher.mail.authentication import judge
from integration_dispatcher.mail.ids import message_id
from integration_dispatcher.mail.quotes import new_words
from integration_dispatcher.mail.received import TOO_COMPLEX, MailReader, Received
from integration_dispatcher.mail.words import decoded, text_of_html

TRUSTED = "mx.customer.example"
OWN = "it@selfservice.example"
PASS = f"{TRUSTED}; dmarc=pass (p=reject) header.from=customer.example"
READER = MailReader(authserv_id=TRUSTED, own_address=OWN)


def read(head: str, body: str = "hello") -> Received:
    return READER.read(f"{head}\r\n\r\n{body}\r\n".replace("\n\r\n", "\r\n").encode())


def from_ana(results: str = PASS, *more: str, sender: str = "Ana <ana@customer.example>") -> Received:
    return read("\r\n".join([f"Authentication-Results: {results}", f"From: {sender}", "Subject: s", *more]))


# --- who is believed

BELIEVED = [
    PASS,
    f"{TRUSTED} 1; spf=fail; dkim=pass header.d=x.example; dmarc=pass header.from=customer.example",
    f'"{TRUSTED}"; dmarc=pass reason="a;b" header.from=CUSTOMER.example',
    f"{TRUSTED} (a (nested; dmarc=fail) comment); dmarc = pass header.from=customer.example",
]


@pytest.mark.parametrize("results", BELIEVED)
def test_our_own_servers_pass_is_believed(results: str) -> None:
    mail = from_ana(results)
    assert (mail.doubt, mail.sender, mail.sender_name) == ("", "ana@customer.example", "Ana")


DOUBTED = {
    "nothing is said": "",
    "another server says so": "mx.evil.example; dmarc=pass header.from=customer.example",
    "a longer name": f"{TRUSTED}.evil.example; dmarc=pass header.from=customer.example",
    "it failed": f"{TRUSTED}; dmarc=fail header.from=customer.example",
    "none": f"{TRUSTED}; dmarc=none header.from=customer.example",
    "temporary": f"{TRUSTED}; dmarc=temperror header.from=customer.example",
    "only spf": f"{TRUSTED}; spf=pass smtp.mailfrom=customer.example",
    "only dkim": f"{TRUSTED}; dkim=pass header.d=customer.example",
    "another domain": f"{TRUSTED}; dmarc=pass header.from=evil.example",
    "a lookalike": f"{TRUSTED}; dmarc=pass header.from=custorner.example",
    "a parent": f"{TRUSTED}; dmarc=pass header.from=example",
    "no domain": f"{TRUSTED}; dmarc=pass",
    "two domains": f"{TRUSTED}; dmarc=pass header.from=evil.example header.from=customer.example",
    "two verdicts": f"{TRUSTED}; dmarc=pass header.from=customer.example; dmarc=fail header.from=customer.example",
    "in a comment": f"{TRUSTED}; (dmarc=pass header.from=customer.example)",
    "in a reason": f'{TRUSTED}; dmarc=fail reason="dmarc=pass" header.from=customer.example',
    "domain in a reason": f'{TRUSTED}; dmarc=pass reason="x header.from=customer.example" header.from=evil.example',
    "an open comment": f"{TRUSTED}; dmarc=pass header.from=customer.example (",
    "an open quote": f'{TRUSTED}; dmarc=pass header.from=customer.example "',
    "another method": f"{TRUSTED}; x-dmarc=pass header.from=customer.example",
    "endless": f"{TRUSTED}; dmarc=pass header.from=customer.example; x=" + "y" * 9_000,
}


@pytest.mark.parametrize("results", DOUBTED.values(), ids=DOUBTED)
def test_everything_else_is_in_doubt(results: str) -> None:
    assert judge([results] if results else [], "ana@customer.example", TRUSTED).doubt


def test_only_the_topmost_header_of_our_server_counts() -> None:
    failed = f"{TRUSTED}; dmarc=fail header.from=customer.example"
    assert from_ana(failed, f"Authentication-Results: {PASS}").doubt == "DMARC did not pass"
    assert from_ana("mx.other.example; dmarc=fail", f"Authentication-Results: {PASS}").doubt == ""


@pytest.mark.parametrize(
    "sender",
    [
        "ana@customer.example, eve@evil.example",
        "ana@customer.example <eve@evil.example>",
        '"ana@customer.example" <eve@evil.example>',
        "eve@evil.example",
        "",
        "ana@customer.example\r\nFrom: eve@evil.example",
        "ana@сustomer.example",
        "(" * 900 + "ana@customer.example",
        "group: ana@customer.example, eve@evil.example;",
    ],
)
def test_a_sender_that_is_not_exactly_one_of_the_verified_domain_is_in_doubt(sender: str) -> None:
    mail = from_ana(sender=sender)
    assert mail.doubt
    assert "ana@customer.example" not in mail.sender


# --- machines


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated; owner=x",
        "Return-Path: <>",
        "Precedence: bulk",
        "Precedence: list",
        "List-Id: <all.customer.example>",
        "X-Auto-Response-Suppress: All",
        "X-Autoreply: yes",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=x",
    ],
)
def test_a_machine_is_recognised(header: str) -> None:
    assert from_ana(PASS, header).automatic


def test_a_person_is_no_machine() -> None:
    assert from_ana(PASS, "Auto-Submitted: no", "Return-Path: <ana@customer.example>").automatic == ""


def test_our_own_mail_is_never_answered() -> None:
    assert from_ana(sender=f"IT <{OWN}>").automatic


# --- words


def test_a_mail_is_read_in_its_own_charset_with_names_of_what_was_attached() -> None:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["Subject"] = "ana@customer.example", "Größe des Bildschirms"
    mail.set_content("Grüße aus Köln", charset="iso-8859-1", cte="quoted-printable")
    mail.add_alternative("<p>html</p>", subtype="html")
    mail.add_attachment(b"x" * 2_000, maintype="image", subtype="png", filename="Bildschirm ü.png")
    mail.add_attachment(b"{}", maintype="application", subtype="json")
    found = READER.read(mail.as_bytes())
    assert (found.subject, found.text) == ("Größe des Bildschirms", "Grüße aus Köln")
    assert found.attachments == ["Bildschirm ü.png", "application/json"]


def test_html_alone_is_read_as_text_without_its_quotes() -> None:
    html = "<style>p{}</style><p>Yes,&nbsp;please &lt;now&gt;</p><div>two</div><blockquote>On Monday: <b>no</b></blockquote>"
    assert text_of_html(html).split() == ["Yes,", "please", "<now>", "two"]


@pytest.mark.parametrize(
    "charset", ["x-unknown", "utf-7", "punycode", "idna", "rot13", "zip", "\udcff", "a" * 5000, "undefined"]
)
def test_no_charset_breaks_a_mail(charset: str) -> None:
    assert isinstance(decoded(b"caf\xc3\xa9 \xff" * 100, charset), str)


QUOTED = {
    "angle": "Yes\n\n> On which day?\n> Ana",
    "intro": "Yes\n\nOn Mon, 2 Nov 2026 at 10:00, IT Help <it@x.example> wrote:\nWhich one?",
    "broken intro": "Yes\n\nOn Mon, 2 Nov 2026 at 10:00, IT Help\n<it@selfservice.example> wrote:\n> Which one?",
    "german": "Yes\n\nAm 02.11.2026 um 10:00 schrieb IT Help:\n> Welches?",
    "french": "Yes\n\nLe lun. 2 nov. 2026 à 10:00, IT Help a écrit :\n> Lequel ?",
    "outlook": "Yes\n\nFrom: IT Help\nSent: Monday\nTo: Ana\nSubject: Laptop\n\nWhich one?",
    "outlook german": "Yes\n\nVon: IT Help\nGesendet: Montag\nAn: Ana\nBetreff: Laptop\n\nWelches?",
    "original": "Yes\n\n-----Original Message-----\nFrom: x",
    "underscores": "Yes\n\n" + "_" * 32 + "\nFrom: IT",
    "signature": "Yes\n-- \nAna\nSales",
    "farewell": "Yes\n\nBest regards,\nAna Silva",
    "telephone": "Yes\n\nSent from my iPhone",
    "german farewell": "Yes\n\nMit freundlichen Grüßen\nAna",
}


@pytest.mark.parametrize("text", QUOTED.values(), ids=QUOTED)
def test_only_the_new_words_are_kept(text: str) -> None:
    assert new_words(text) == "Yes"


@pytest.mark.parametrize(
    "text",
    [
        "On Monday I wrote to you: nothing came.",
        "- one\n- two",
        "From here on:\nit fails",
        "a -- b\n---\nc",
        "Best regards,",
    ],
)
def test_what_is_no_quote_stays(text: str) -> None:
    assert new_words(text) == text


# --- hostile mail


def nested(depth: int) -> bytes:
    head = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(depth))
    return b"From: a@b.example\n" + head + b"\n\nx\n" * 1_000


HOSTILE = {
    "empty": b"",
    "nothing but a header": b"From: a@b.example",
    "binary": random.Random(7).randbytes(200_000),
    "1,000 parts": b'From: a@b.example\nContent-Type: multipart/mixed; boundary="b"\n\n'
    + b"--b\nContent-Type: text/plain\n\nx\n" * 1_000
    + b"--b--\n",
    "1,000 attachments": b'From: a@b.example\nContent-Type: multipart/mixed; boundary="b"\n\n'
    + b"--b\nContent-Disposition: attachment; filename=x.zip\n\nx\n" * 1_000,
    "300 levels": nested(300),
    "10,000 levels": nested(10_000),
    "mails in mails": b"From: a@b.example\n" + b"Content-Type: message/rfc822\n\n" * 5_000 + b"x",
    "a long content type": b"From: a@b.example\nContent-Type: text/plain; x=" + b'";' * 300_000 + b"\n\nx",
    "a folded content type": b"From: a@b.example\nContent-Type: text/plain;\n" + b' x=";\n' * 100_000 + b"\n\nx",
    "a long subject": b"From: a@b.example\nSubject: " + b"=?utf-8?q?=C3?=" * 60_000 + b"\n\nx",
    "many headers": b"X: y\n" * 100_000 + b"\n\nx",
    "many references": b"From: a@b.example\nReferences: " + b"<a@b> " * 30_000 + b"\n\nx",
    "line breaks": b"From: a@b.example\n\n" + b"\n" * 1_000_000,
    "quotes": b"From: a@b.example\n\n" + b"> " * 500_000,
    "intros": b"From: a@b.example\n\n" + b"On a wrote\n" * 90_000,
    "intro in a line": b"From: a@b.example\n\n" + b"On " * 300_000,
    "carriage returns": b"From: a@b.example\r" * 50_000,
    "html nesting": b"From: a@b.example\nContent-Type: text/html\n\n" + b"<div>" * 100_000,
    "html tags": b"From: a@b.example\nContent-Type: text/html\n\n" + b"<a " * 100_000,
    "bad base64": b"From: a@b.example\nContent-Transfer-Encoding: base64\n\n" + b"=?!" * 100_000,
    "bad charset": b"From: a@b.example\nContent-Type: text/plain; charset=punycode\n\n" + b"a-" * 100_000,
    "nul": b"From: a@b.example\nSubject: a\x00b\n\n\x00\x00",
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_hostile_mail_is_read_within_bounds(raw: bytes) -> None:
    began_s = time.process_time()
    mail = READER.read(raw)
    assert len(mail.model_dump_json()) < 400_000
    assert len(mail.attachments) <= 21
    assert "\x00" not in mail.model_dump_json()
    assert time.process_time() - began_s < 60  # a bomb takes hours; nothing here is measured


@pytest.mark.parametrize("name", ["10,000 levels", "mails in mails", "a long content type", "300 levels"])
def test_a_bomb_is_not_taken_apart(name: str) -> None:
    mail = READER.read(HOSTILE[name])
    assert (mail.problem, mail.sender) == (TOO_COMPLEX, "a@b.example")


@given(st.binary(max_size=3_000))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    READER.read(raw)
    READER.read(b"From: a@b.example\nContent-Type: multipart/report; boundary=b\n\n--b\n" + raw)


# --- bounces

DELIVERY, SESSION = UUID(int=1), UUID(int=2)
OURS = message_id(str(DELIVERY), SESSION, "selfservice.example")


def report(action: str = "failed", *, returned: str = "message/rfc822", fields: str = "", ours: str = OURS) -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.example\nReturn-Path: <>\nMessage-ID: <d@mx.example>\n"
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\nContent-Type: text/plain\n\nSorry.\n\n"
        f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n"
        f"Final-Recipient: rfc822; ana@customer.example\nAction: {action}\nStatus: 5.1.1\n"
        f"Diagnostic-Code: smtp; 550 5.1.1 no such user\n{fields}\n"
        f"--b\nContent-Type: {returned}\n\nFrom: {OWN}\nReferences: <{DELIVERY.hex}x.{SESSION.hex}@selfservice.example>\n"
        f"Message-ID: {ours}\nSubject: x\n\nhi\n--b--\n"
    ).encode()


BOUNCES = {
    f"{kind}, {name}": report(returned=kind, fields=fields)
    for kind in ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global", "text/plain")
    for name, fields in {
        "plain": "",
        "original recipient": "Original-Recipient: rfc822;Ana@customer.example\n",
        "remote": "Remote-MTA: dns; mail.customer.example\nLast-Attempt-Date: Mon, 2 Nov 2026 10:00:00 +0000\n",
        "second recipient": "\nFinal-Recipient: rfc822; ben@customer.example\nAction: delivered\nStatus: 2.0.0\n",
    }.items()
}


@pytest.mark.parametrize("raw", BOUNCES.values(), ids=BOUNCES)
def test_a_report_leads_to_the_delivery_that_came_back(raw: bytes) -> None:
    bounce = READER.read(raw).bounce
    assert bounce is not None
    assert (bounce.delivery_id, bounce.recipient, bounce.status) == (DELIVERY, "ana@customer.example", "5.1.1")
    assert bounce.words == "550 5.1.1 no such user"


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_only_a_final_failure_is_a_bounce(action: str) -> None:
    assert READER.read(report(action)).bounce is None


def test_a_report_on_somebody_elses_mail_is_none_of_ours() -> None:
    assert READER.read(report(ours="<x@elsewhere.example>")).bounce is None


def test_twenty_shapes_of_reports_are_known() -> None:
    assert len(BOUNCES) == 20
