"""Links that prove who has written one mail. Pure.

A link is made of the mail's row and our key, so that every try sends the same one and no table holds it."""

import re
from uuid import UUID

from integration_dispatcher.vault import Vault

_TOKEN = re.compile(r"([0-9a-f]{32})([0-9a-f]{64})", re.ASCII)


class VerifyLinks:
    """`base_url`: this service as browsers reach it; empty: there are no links."""

    def __init__(self, vault: Vault, base_url: str) -> None:
        self._vault = vault
        self._base_url = base_url.rstrip("/")

    @property
    def are_on(self) -> bool:
        return bool(self._base_url)

    def url(self, event_id: UUID) -> str:
        return f"{self._base_url}/email/verify/{event_id.hex}{self._vault.digest(_purpose(event_id))}"

    def event_of(self, token: str) -> UUID | None:
        """The mail that a token stands for; None for a token that we have not made."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        event_id = UUID(found[1])
        return event_id if self._vault.is_digest(_purpose(event_id), found[2]) else None


def _purpose(event_id: UUID) -> str:
    return f"verify mail {event_id}"
