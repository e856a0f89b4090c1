"""Who stands behind a provider's id: request-manager knows, and is asked again after a while."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from shared_clients.request_manager import RequestManagerClient
from shared_models.api import ResolveBody, UserView
from shared_models.enums import IntegrationType
from shared_models.errors import UpstreamRejected

REMEMBERED_S = 600.0
UNKNOWN_REMEMBERED_S = 5.0
MAX_REMEMBERED = 10_000
NOT_FOUND = 404


@dataclass(frozen=True)
class _Remembered:
    person: UserView | None
    until: float


class People:
    """Remembers a person for ten minutes, and for a few seconds that nobody is known."""

    def __init__(self, manager: RequestManagerClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._manager = manager
        self._clock = clock
        self._known: dict[tuple[IntegrationType, str], _Remembered] = {}

    def remembered(self, integration: IntegrationType, external_id: str) -> UserView | None:
        """The person, if they are known without asking."""
        known = self._known.get((integration, external_id))
        return known.person if known is not None and known.until > self._clock() else None

    async def resolve(
        self, integration: IntegrationType, external_id: str, *, email: str | None = None, name: str = ""
    ) -> UserView | None:
        """The person of this id; `email` is an address that the provider has verified, by which a person is found the first time.

        None: nobody is known. Raises UpstreamUnavailable, UpstreamRejected."""
        key = (integration, external_id)
        known = self._known.get(key)
        if known is not None and known.until > self._clock() and (known.person is not None or email is None):
            return known.person
        person = await self._ask(ResolveBody(integration=integration, external_id=external_id, email=email, name=name))
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        lasts_s = REMEMBERED_S if person is not None else UNKNOWN_REMEMBERED_S
        self._known[key] = _Remembered(person, self._clock() + lasts_s)
        return person

    async def _ask(self, body: ResolveBody) -> UserView | None:
        try:
            return await self._manager.resolve(body)
        except UpstreamRejected as exc:
            if exc.upstream_status == NOT_FOUND:
                return None
            raise
