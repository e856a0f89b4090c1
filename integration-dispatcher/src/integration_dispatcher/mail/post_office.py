"""Where our mail leaves: composed, signed, handed to the mail server."""

import asyncio
from dataclasses import dataclass
from email.utils import parseaddr

from integration_dispatcher.handlers.base import Delivered
from integration_dispatcher.mail.letter import DkimKey, Envelope, Letter, check_address, compose, signed
from integration_dispatcher.mail.smtp import MailServer
from integration_dispatcher.settings_email import EmailSettings


@dataclass(frozen=True)
class PostOffice:
    """`sender`: our address with a name, as in IT Help <it@example.com>."""

    server: MailServer
    sender: str
    dkim: DkimKey | None = None

    @classmethod
    def of(cls, settings: EmailSettings, server: MailServer | None = None) -> "PostOffice":
        key = settings.smtp_dkim_key.get_secret_value()
        dkim = DkimKey(settings.smtp_dkim_domain, settings.smtp_dkim_selector, key.encode()) if key else None
        return cls(server or MailServer(settings), settings.smtp_from, dkim)

    @property
    def address(self) -> str:
        return parseaddr(self.sender)[1]

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2].lower()

    @property
    def unsubscribe(self) -> tuple[str, ...]:
        """How a person stops notices: a mail with this subject, read by `inbound/email.py`."""
        return (f"mailto:{self.address}?subject=unsubscribe",)

    async def send(self, letter: Letter, envelope: Envelope) -> Delivered:
        """Raises Unsendable, DeliveryDelayed, DeliveryRejected, IntegrationPaused. Returns the Message-ID as `provider_id`."""
        recipient = check_address(envelope.to)
        raw = await asyncio.to_thread(self._sealed, letter, envelope)
        taken = await self.server.send(self.address, recipient, raw)
        return Delivered(provider_id=envelope.message_id, code=taken.code)

    def _sealed(self, letter: Letter, envelope: Envelope) -> bytes:
        raw = compose(letter, envelope).as_bytes()
        return signed(raw, self.dkim) if self.dkim is not None else raw
