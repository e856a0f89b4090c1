"""A mail server with everybody's mailboxes: what the product sends can be read, and answered."""

import asyncio
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path

from local_stack.faults import Faults
from local_stack.mail.faults import Fault
from local_stack.mail.mailboxes import Draft, Mail, Mailboxes, stamped, written
from local_stack.mail.settings import MailSettings
from local_stack.mail.smtp import Handler


@dataclass
class MailStandin:
    """`robots`: addresses that answer each mail with this text by themselves, without saying that they are machines."""

    folder: Path
    settings: MailSettings
    faults: Faults[Fault] = field(default_factory=Faults)
    robots: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.mailboxes = Mailboxes(self.folder)
        self.handler = Handler(
            self.take, self.faults, self.settings.agent_address, self.settings.password.get_secret_value()
        )
        self._answering: set[asyncio.Task[Mail]] = set()

    async def take(self, _sender: str, recipients: list[str], raw: bytes) -> None:
        """A mail that came by SMTP, into the mailbox of each recipient."""
        for recipient in recipients:
            mail = await self.mailboxes.put(recipient, raw)
            if recipient.lower() in self.robots:
                task = asyncio.create_task(self.answer(mail, self.robots[recipient.lower()]))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    async def send(self, draft: Draft) -> Mail:
        """A mail that a person has written, into the mailbox of its recipient."""
        raw = stamped(written(draft), draft.sender, is_forged=draft.is_forged)
        return await self.mailboxes.put(parseaddr(draft.to)[1], raw)

    async def answer(self, mail: Mail, text: str, *, sender: str = "") -> Mail:
        """Answer a mail as its recipient, below it the mail itself, as mail programs do."""
        return await self.send(reply_to(mail, text, sender or mail.mailbox))


def reply_to(mail: Mail, text: str, sender: str) -> Draft:
    asked = mail.parsed
    body = asked.get_body(("plain", "html"))
    quoted = "\n".join(f"> {line}" for line in str(body.get_content() if body is not None else "").splitlines())
    message_id = str(asked.get("message-id", ""))
    subject = str(asked.get("subject", ""))
    return Draft(
        sender=sender,
        to=str(asked.get("from", "")),
        subject=subject if subject.lower().startswith("re:") else f"Re: {subject}",
        text=f"{text}\n\nOn {asked.get('date')}, {asked.get('from')} wrote:\n{quoted}\n",
        in_reply_to=message_id,
        references=(*str(asked.get("references", "")).split(), message_id),
    )
