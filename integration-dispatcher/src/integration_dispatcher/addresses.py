"""Proving that an address is the person's own, before anything is delivered there.

A code goes to the address itself; who can read it there, has it. A receiver that is a program may echo the challenge
instead. The address of the sign-in is proven already: the identity provider has done it."""

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError
from shared_models.database import Database
from shared_models.enums import IntegrationType
from shared_models.errors import Conflict, InvalidRequest, TooManyRequests
from shared_models.ids import new_id
from shared_models.logging import get_logger
from shared_models.tokens import Acting

from integration_dispatcher.domain.redaction import safe_words
from integration_dispatcher.handlers.base import DeliveryDelayed, DeliveryRejected, IntegrationPaused, Notice
from integration_dispatcher.layers import Layers
from integration_dispatcher.store import addresses
from integration_dispatcher.store.configs import Stored
from integration_dispatcher.vault import CannotDecrypt

CODE_DIGITS = 6
SEND_WITHIN_S = 8.0
HOUR_S = 3600
SENT = "A code was sent there. It is valid for 15 minutes."
PROVEN = "The receiver has proven itself."
SUBJECT = "Your code for IT self-service"
TEXT = (
    "{code} is your code to receive answers of IT self-service here. It is valid for 15 minutes. "
    "If you have not asked for it, ignore this message."
)
TOO_MANY = "Too many codes were sent. Ask for another one in an hour."
NO_CODE = "There is no valid code. Ask for a new one."
WRONG = "This is not the code. Tries left: {left}."

log = get_logger(__name__)


class NotSent(Exception):
    """The code could not be sent. The text is for the person."""


@dataclass(frozen=True)
class Addresses:
    database: Database
    layers: Layers

    async def is_verified(self, user_id: UUID, integration: IntegrationType, address: str) -> bool:
        return not address or await addresses.is_verified(self.database, user_id, integration, address)

    async def begin(self, person: Acting, integration: IntegrationType, stored: Stored) -> str:
        """Have a new address proven after a change of settings. Returns what was done about it, in words; never raises for
        a receiver that is away: the settings are stored, and a code can be asked for later."""
        address = self._address(integration, stored)
        if stored.user is None or stored.user.is_verified or not address:
            return ""
        if integration is IntegrationType.EMAIL and address.casefold() == person.email.casefold():
            await addresses.prove(self.database, person.user_id, integration, address, "sign-in")
            return ""
        try:
            return await self._send(person.user_id, integration, stored, address)
        except TooManyRequests:
            return TOO_MANY
        except NotSent as exc:
            return f"No code could be sent there. {exc}"

    async def send_again(self, user_id: UUID, integration: IntegrationType, stored: Stored) -> str:
        """Send a new code. Raises Conflict, TooManyRequests."""
        if stored.user is None or stored.user.is_verified:
            raise Conflict("There is nothing to verify.")
        try:
            return await self._send(user_id, integration, stored, self._address(integration, stored))
        except NotSent as exc:
            raise Conflict(f"No code could be sent there. {exc}") from exc

    async def verify(self, user_id: UUID, integration: IntegrationType, code: str) -> None:
        """Prove the present address by its code. Raises Conflict, InvalidRequest."""
        tried = await addresses.try_code(self.database, user_id, integration)
        if tried is None:
            raise Conflict(NO_CODE)
        given = _bound(user_id, integration, tried.address, code.strip())
        if not self.layers.vault.is_digest(given, tried.code_hash):
            raise InvalidRequest(WRONG.format(left=tried.left))
        await addresses.prove(self.database, user_id, integration, tried.address, "code")

    async def _send(self, user_id: UUID, integration: IntegrationType, stored: Stored, address: str) -> str:
        """Raises NotSent, TooManyRequests."""
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        digest = self.layers.vault.digest(_bound(user_id, integration, address, code))
        if not await addresses.new_code(self.database, user_id, integration, address, digest):
            raise TooManyRequests(TOO_MANY, retry_after_s=HOUR_S)
        if not await self._notify(user_id, integration, stored, code):
            return SENT
        await addresses.prove(self.database, user_id, integration, address, "challenge")
        return PROVEN

    async def _notify(self, user_id: UUID, integration: IntegrationType, stored: Stored, code: str) -> bool:
        handler = self.layers.handlers[integration]
        notice = Notice(
            id=str(new_id()),
            user_id=user_id,
            subject=SUBJECT,
            text=TEXT.format(code=code),
            code=code,
            challenge=secrets.token_urlsafe(24),
            sent_at=datetime.now(UTC),
        )
        try:
            config = self.layers.config(user_id, integration, stored)
            async with asyncio.timeout(SEND_WITHIN_S):
                return await handler.notify(notice, config)
        except (DeliveryDelayed, DeliveryRejected, IntegrationPaused) as exc:
            raise NotSent(safe_words(exc.reason)) from exc
        except TimeoutError as exc:
            raise NotSent("It did not answer in time.") from exc
        except (CannotDecrypt, ValidationError) as exc:
            raise NotSent("Its stored settings cannot be read; set it up again.") from exc

    def _address(self, integration: IntegrationType, stored: Stored) -> str:
        return self.layers.handlers[integration].address(stored.user.config) if stored.user else ""


def _bound(user_id: UUID, integration: IntegrationType, address: str, code: str) -> str:
    """What is hashed: a code holds for one person and address."""
    return f"{user_id}/{integration.value}/{address}/{code}"
