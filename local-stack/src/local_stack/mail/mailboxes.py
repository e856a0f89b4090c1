"""The mailboxes of the stand-in: every address has one, kept as files, one for each mail."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import format_datetime, make_msgid, parseaddr
from pathlib import Path

from local_stack.mail.wiring import AUTHSERV_ID

MAX_MAILS = 2_000
LONG_LINES = SMTP.clone(max_line_length=998)  # or a long Message-ID would be written as an encoded word


@dataclass
class Mail:
    """One mail in one mailbox. `uid` rises within all mailboxes."""

    uid: int
    mailbox: str
    raw: bytes
    is_seen: bool = False
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def parsed(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=default)


class Mailboxes:
    """`on_arrival` hears of each mail; readers wait for `changed`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mails: list[Mail] = []
        self.changed = asyncio.Condition()
        self.on_arrival: list[Callable[[Mail], None]] = []
        self._load()

    def all(self, mailbox: str | None = None) -> list[Mail]:
        return [each for each in self._mails if mailbox is None or each.mailbox == mailbox.lower()]

    def get(self, uid: int) -> Mail | None:
        return next((each for each in self._mails if each.uid == uid), None)

    @property
    def names(self) -> list[str]:
        return sorted({each.mailbox for each in self._mails})

    async def put(self, mailbox: str, raw: bytes) -> Mail:
        mail = Mail(self._mails[-1].uid + 1 if self._mails else 1, mailbox.lower(), raw)
        self._mails.append(mail)
        self._write(mail)
        for old in self._mails[:-MAX_MAILS]:
            self._remove(old)
        for listener in self.on_arrival:
            listener(mail)
        await self._tell()
        return mail

    async def mark(self, mail: Mail, *, is_seen: bool) -> None:
        mail.is_seen = is_seen
        self._write(mail)
        await self._tell()

    async def clear(self) -> None:
        for mail in list(self._mails):
            self._remove(mail)
        await self._tell()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def _write(self, mail: Mail) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{mail.uid:08d}"
        path.with_suffix(".eml").write_bytes(mail.raw)
        facts = {"mailbox": mail.mailbox, "is_seen": mail.is_seen, "received_at": mail.received_at.isoformat()}
        path.with_suffix(".json").write_text(json.dumps(facts))

    def _remove(self, mail: Mail) -> None:
        self._mails.remove(mail)
        for suffix in (".eml", ".json"):
            (self._folder / f"{mail.uid:08d}{suffix}").unlink(missing_ok=True)

    def _load(self) -> None:
        """A file that was cut off by a kill is left out."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                facts = json.loads(path.read_text())
                raw = path.with_suffix(".eml").read_bytes()
                at = datetime.fromisoformat(facts["received_at"])
                self._mails.append(Mail(int(path.stem), facts["mailbox"], raw, bool(facts["is_seen"]), at))
            except (OSError, ValueError, KeyError):
                continue


@dataclass(frozen=True)
class Draft:
    """A mail as a person writes it. `is_forged`: the mail server finds that the sender is somebody else."""

    sender: str
    to: str
    subject: str
    text: str
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    is_forged: bool = False
    headers: tuple[tuple[str, str], ...] = ()


def written(draft: Draft) -> bytes:
    mail = EmailMessage(policy=LONG_LINES)
    mail["From"], mail["To"], mail["Subject"] = draft.sender, draft.to, draft.subject
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = make_msgid(domain=domain_of(draft.sender))
    if draft.in_reply_to:
        mail["In-Reply-To"] = draft.in_reply_to
    if draft.references:
        mail["References"] = " ".join(draft.references)
    for name, value in draft.headers:
        mail[name] = value
    mail.set_content(draft.text)
    return mail.as_bytes()


def stamped(raw: bytes, sender: str, *, is_forged: bool) -> bytes:
    """What our mail server writes on top: who it finds that the sender is. Source: RFC 8601."""
    result = "fail (p=reject)" if is_forged else "pass (p=reject)"
    line = f"Authentication-Results: {AUTHSERV_ID}; dmarc={result} header.from={domain_of(sender)}\r\n"
    return line.encode() + raw


def domain_of(address: str) -> str:
    return parseaddr(address)[1].rpartition("@")[2].lower()
