"""A mail as it came in, read with bounds: what is too deep, too long or has too many parts is not taken apart. Pure.

Source: RFC 5322, RFC 2045, RFC 3464 (delivery reports), RFC 3834 (automatic mail)."""

import re
from collections.abc import Iterator
from email.header import decode_header
from email.message import Message as Part
from email.parser import BytesHeaderParser, BytesParser
from email.policy import compat32, default
from itertools import islice

from pydantic import BaseModel, ConfigDict

from integration_dispatcher.mail import bounces
from integration_dispatcher.mail.authentication import judge
from integration_dispatcher.mail.bounces import Bounce
from integration_dispatcher.mail.ids import MAX_ID_LENGTH, ids_in
from integration_dispatcher.mail.quotes import new_words
from integration_dispatcher.mail.words import decoded, text_of_html

MAX_RAW_BYTES = 1_048_576
MAX_PARTS = 100
MAX_NESTED = 40
MAX_TYPE_LENGTH = 4_000
MAX_HEADER_BYTES = 262_144
MAX_TEXT_LENGTH = 65_000
MAX_SUBJECT_LENGTH = 500
MAX_NAMED = 20
TOO_COMPLEX = "The mail could not be read: it has too many parts, or its parts are too deep."

_TYPES = re.compile(rb"(?im)^content-(?:type|disposition)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*")
_NESTING = re.compile(rb"boundary|message/", re.IGNORECASE)
_ROBOTS = frozenset({"mailer-daemon", "postmaster", "no-reply", "noreply", "do-not-reply", "donotreply"})


class Received(BaseModel):
    """What is kept of a mail. `sender`: empty unless From holds exactly one address. `doubt`: why that is not believed.

    `automatic`: by what a machine has shown itself; such mail is never answered. `attachments`: their names."""

    model_config = ConfigDict(frozen=True)

    message_id: str = ""
    in_reply_to: str = ""
    references: list[str] = []
    sender: str = ""
    sender_name: str = ""
    subject: str = ""
    text: str = ""
    attachments: list[str] = []
    doubt: str = ""
    automatic: str = ""
    problem: str = ""
    bounce: Bounce | None = None

    @property
    def thread(self) -> str:
        """The first mail of the thread, as request-manager sees it."""
        return (self.references[:1] or [self.in_reply_to or self.message_id])[0]


class MailReader:
    """`authserv_id`: whose Authentication-Results count; `own_address`: mail from it is our own, come back."""

    def __init__(self, *, authserv_id: str, own_address: str) -> None:
        self._authserv_id = authserv_id
        self._own_address = own_address.lower()
        self._domain = own_address.rpartition("@")[2].lower()

    def read(self, raw: bytes) -> Received:
        """Take at most 1 MiB of a mail apart. Never raises for what a mail holds."""
        data = raw[:MAX_RAW_BYTES].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        head = _headers(data)
        sender, name = one_sender(head)
        message_ids = ids_in(_value(head, "message-id"))
        verdict = judge([str(each) for each in head.get_all("authentication-results", [])], sender, self._authserv_id)
        found = {
            "message_id": message_ids[0][:MAX_ID_LENGTH] if message_ids else "",
            "in_reply_to": next(iter(ids_in(_value(head, "in-reply-to"))), ""),
            "references": ids_in(_value(head, "references", MAX_HEADER_BYTES)),
            "sender": sender,
            "sender_name": name,
            "subject": _decoded_header(_value(head, "subject", 10_000))[:MAX_SUBJECT_LENGTH],
            "doubt": verdict.doubt,
            "automatic": self._sign_of_a_machine(head, sender),
        }
        if is_too_complex(data):
            return Received(**found, problem=TOO_COMPLEX)
        return Received(**found, **self._content(data))

    def _content(self, data: bytes) -> dict[str, object]:
        mail: Part = BytesParser(policy=compat32).parsebytes(data)
        parts = list(islice(_leaves(mail), MAX_PARTS))
        names = [name for name in map(_file_name, parts) if name]
        more = [f"and {len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
        return {
            "text": new_words(_body(parts))[:MAX_TEXT_LENGTH],
            "attachments": names[:MAX_NAMED] + more,
            "bounce": bounces.read(mail, data, self._domain),
        }

    def _sign_of_a_machine(self, head: Part, sender: str) -> str:
        """By what a machine shows itself, else empty. Source: RFC 3834 sections 2 and 5; Microsoft's X-Auto-Response-Suppress."""
        submitted = _value(head, "auto-submitted").split(";")[0].strip().lower()
        mailbox = sender.partition("@")[0].lower()
        signs = {
            "it came from our own address": sender.lower() == self._own_address,
            "Auto-Submitted": bool(submitted) and submitted != "no",
            "an empty return path": _value(head, "return-path").strip() == "<>",
            "Precedence": _value(head, "precedence").strip().lower() in ("bulk", "list", "junk", "auto_reply"),
            "List-Id": "list-id" in head or "list-unsubscribe" in head,
            "X-Auto-Response-Suppress": "x-auto-response-suppress" in head,
            "X-Autoreply": any(name in head for name in ("x-autoreply", "x-autorespond", "x-autoresponder", "x-loop")),
            "a delivery report": head.get_content_type() in ("multipart/report", "message/delivery-status"),
            "a robot's mailbox": mailbox in _ROBOTS,
        }
        return next((sign for sign, is_there in signs.items() if is_there), "")


def is_too_complex(data: bytes) -> bool:
    """Python's parser works its way through every level for each line, and through a long Content-Type again and again."""
    if sum(1 for _ in _NESTING.finditer(data)) > MAX_NESTED:
        types = [each[0] for each in _TYPES.finditer(data)]
        nested = sum(1 for each in types if _NESTING.search(each))
        if nested > MAX_NESTED:
            return True
    return any(len(each[0]) > MAX_TYPE_LENGTH for each in _TYPES.finditer(data))


def one_sender(head: Part) -> tuple[str, str]:
    """The address and name of From; empty when there is none, more than one, or one that is not well formed."""
    values = head.get_all("from", [])
    if len(values) != 1 or len(str(values[0])) > 1_000:
        return "", ""
    try:
        header = default.header_factory("from", " ".join(str(values[0]).split()))
        [address] = header.addresses
        defects = header.defects
        spec, name = str(address.addr_spec), str(address.display_name)
    except Exception:  # noqa: BLE001  # the standard library raises nearly anything for a hostile header
        return "", ""
    mailbox, _, domain = spec.rpartition("@")
    is_plain = (
        bool(mailbox and domain) and spec.isascii() and spec.isprintable() and not re.search(r"[\s<>\",;()]", spec)
    )
    return (spec.lower(), name[:100]) if is_plain and not defects and len(spec) <= 320 else ("", "")


def _headers(data: bytes) -> Part:
    """The header alone, at most 256 KiB of it."""
    return BytesHeaderParser(policy=compat32).parsebytes(data.split(b"\n\n", 1)[0][:MAX_HEADER_BYTES])


def _value(head: Part, name: str, limit: int = 2_000) -> str:
    return str(head.get(name, ""))[:limit]


def _decoded_header(value: str) -> str:
    """On one line, with encoded words read; as it stands where they cannot be."""
    one_line = " ".join(value.split())
    try:
        pieces = [
            decoded(piece, charset or "ascii") if isinstance(piece, bytes) else piece
            for piece, charset in decode_header(one_line)
        ]
    except ValueError:
        return one_line
    return " ".join("".join(pieces).split())


def _leaves(mail: Part) -> Iterator[Part]:
    """Parts that hold content. What lies in an enclosed mail or a report is that one's own."""
    waiting = [mail]
    seen = 0
    while waiting and seen < 10 * MAX_PARTS:
        part = waiting.pop(0)
        seen += 1
        content = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(content, list):
            waiting = [each for each in content[: MAX_PARTS + 1] if isinstance(each, Part)] + waiting
        else:
            yield part


def _file_name(part: Part) -> str:
    """The name of an attachment, or what it is; empty for the mail's own text."""
    name = part.get_filename("")
    if not name and part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment":
        return ""
    if not name and part.get_content_type() in ("message/delivery-status", "text/rfc822-headers"):
        return ""
    shown = _decoded_header(name) or part.get_content_type()
    return "".join(each for each in shown if each.isprintable())[:120]


def _body(parts: list[Part]) -> str:
    """The plain text, else that of the HTML."""
    texts = [each for each in parts if each.get_content_maintype() == "text" and not _file_name(each)]
    plain = next(
        (text for each in texts if each.get_content_subtype() == "plain" and (text := _text(each).strip())), ""
    )
    if plain:
        return plain
    html = next((each for each in texts if each.get_content_subtype() == "html"), None)
    return text_of_html(_text(html)) if html is not None else ""


def _text(part: Part) -> str:
    content = part.get_payload(decode=True)
    return decoded(content, part.get_content_charset("utf-8")) if isinstance(content, bytes) else ""
