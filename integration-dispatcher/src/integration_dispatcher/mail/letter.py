"""A mail of ours, from what it says to the bytes that are sent. Pure.

Source: RFC 5322, RFC 2047 (headers), RFC 3834 (automatic mail), RFC 8058 (one-click unsubscribe)."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime, parseaddr

import dkim
from pydantic import BaseModel, ConfigDict

MAX_SUBJECT_LENGTH = 200
MAX_REFERENCES = 50
SIGNED = [b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted"]
SIGNED += [b"List-Unsubscribe", b"List-Unsubscribe-Post"]  # RFC 8058 section 4

_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+"
)


class Unsendable(Exception):
    """No mail can be addressed like this."""


class Letter(BaseModel):
    """What a mail says, and to which thread it belongs. It is stored as JSON until it is sent."""

    model_config = ConfigDict(frozen=True)

    subject: str
    text: str
    html: str
    in_reply_to: str = ""
    references: list[str] = []
    session_id: str = ""


@dataclass(frozen=True)
class Envelope:
    """`sender`: as in IT Help <it@example.com>; `is_reply`: to something that the person has asked, else news from us."""

    sender: str
    to: str
    message_id: str
    sent_at: datetime
    is_reply: bool = True
    unsubscribe: tuple[str, ...] = ()


@dataclass(frozen=True)
class DkimKey:
    domain: str
    selector: str
    private_key: bytes


class _Ids(UnstructuredHeader, BaseHeader):
    """Message-IDs, one in a line: the standard library would write a long one as an encoded word."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: " + f"{policy.linesep} ".join(str(self).split()) + policy.linesep


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("references", _Ids)
_HEADERS.map_to_type("in-reply-to", _Ids)
POLICY = SMTP.clone(header_factory=_HEADERS)


def compose(letter: Letter, envelope: Envelope) -> EmailMessage:
    """Raises Unsendable."""
    mail = EmailMessage(policy=POLICY)
    name, own = parseaddr(envelope.sender)
    mail["From"] = _address(own, one_line(name))
    mail["To"] = _address(envelope.to)
    mail["Subject"] = one_line(letter.subject)[:MAX_SUBJECT_LENGTH] or "Your request"
    mail["Date"] = format_datetime(envelope.sent_at)
    mail["Message-ID"] = envelope.message_id
    if ids := _known_ids([letter.in_reply_to]):
        mail["In-Reply-To"] = ids[0]
    if ids := _known_ids(letter.references):
        mail["References"] = " ".join(ids)
    mail["Auto-Submitted"] = "auto-replied" if envelope.is_reply else "auto-generated"
    mail["X-Auto-Response-Suppress"] = "DR, RN, NRN, OOF, AutoReply"
    if envelope.unsubscribe:
        mail["List-Unsubscribe"] = ", ".join(f"<{one_line(each)}>" for each in envelope.unsubscribe)
        if any(each.startswith("https:") for each in envelope.unsubscribe):
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(letter.text, cte="quoted-printable")
    mail.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    return mail


def signed(raw: bytes, key: DkimKey) -> bytes:
    """With a DKIM-Signature in front. Source: RFC 6376."""
    signature = dkim.sign(
        raw,
        key.selector.encode(),
        key.domain.encode(),
        key.private_key,
        canonicalize=(b"relaxed", b"relaxed"),
        include_headers=SIGNED,
    )
    return bytes(signature) + raw


def check_address(text: str) -> str:
    """The address as mail servers know it: one mailbox, in ASCII, the domain in its ASCII form. Raises Unsendable."""
    mailbox, _, domain = text.strip().rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode().lower()
        address = Address(username=mailbox, domain=ascii_domain)
    except (ValueError, IndexError) as exc:
        raise Unsendable("This is no e-mail address.") from exc
    known = address.addr_spec
    if not re.fullmatch(r"[^\s<>\"(),:;\\\[\]@\x00-\x20\x7f-\U0010ffff]{1,64}@[a-z0-9.-]{1,253}", known):
        raise Unsendable("This is no e-mail address.")
    return known


def one_line(text: str) -> str:
    """Nothing that ends a header or turns it around."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def _address(address: str, name: str = "") -> Address:
    mailbox, _, domain = check_address(address).rpartition("@")
    return Address(name, mailbox, domain)


def _known_ids(ids: list[str]) -> list[str]:
    """Those that are well formed: the first, which names the thread, and the last ones."""
    known = [each for each in ids if re.fullmatch(r"<[!-;=?-~]{1,250}>", each)]
    return known if len(known) <= MAX_REFERENCES else [known[0], *known[-(MAX_REFERENCES - 1) :]]
