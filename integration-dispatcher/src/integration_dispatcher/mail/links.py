"""Links in our mails that are a proof by themselves: of who has written one mail, of who may stop our mails. Pure.

A link is made of an id and our key, so that every try sends the same one and no table holds it."""

import re
from typing import ClassVar
from uuid import UUID

from integration_dispatcher.vault import Vault

_TOKEN = re.compile(r"([0-9a-f]{32})([0-9a-f]{64})", re.ASCII)


class _Links:
    """`base_url`: this service as browsers reach it; empty: there are no links."""

    action: ClassVar[str]

    def __init__(self, vault: Vault, base_url: str) -> None:
        self._vault = vault
        self._base_url = base_url.rstrip("/")

    @property
    def are_on(self) -> bool:
        return bool(self._base_url)

    def url(self, subject: UUID) -> str:
        return f"{self._base_url}/email/{self.action}/{subject.hex}{self._vault.digest(self._purpose(subject))}"

    def subject_of(self, token: str) -> UUID | None:
        """The id that a token stands for; None for a token that we have not made for this action."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        subject = UUID(found[1])
        return subject if self._vault.is_digest(self._purpose(subject), found[2]) else None

    def _purpose(self, subject: UUID) -> str:
        return f"{self.action} mail {subject}"


class VerifyLinks(_Links):
    """Each for a mail in doubt: the id of its inbound event."""

    action = "verify"


class UnsubscribeLinks(_Links):
    """Each for a person: their user id. They do not expire, as mails lie in mailboxes for years (RFC 8058)."""

    action = "unsubscribe"
