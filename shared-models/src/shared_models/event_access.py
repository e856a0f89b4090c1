"""Who may bring events: the broker, and services where they call each other directly.

Sources: https://knative.dev/docs/eventing/features/sender-identity/ (the receiver checks issuer, audience and signature)."""

import time

import httpx
from fastapi import Request

from shared_models.enums import ServiceName
from shared_models.errors import NotAllowed, NotAuthenticated, Unavailable
from shared_models.jwks import JwksCache, KeyNotLookedFor, verified_claims
from shared_models.logging import get_logger
from shared_models.settings import EventsAuth, ServiceSettings
from shared_models.tokens import LEEWAY_S, InvalidToken, ServiceTokens
from shared_models.web import bearer

MAX_TOKEN_LENGTH = 16_384
REMEMBERED_S = 30.0
MAX_REMEMBERED = 256

log = get_logger(__name__)


class EventAccess:
    """`senders`: the services that may call beside the broker, each by its service token.

    EVENTS_AUTH decides: `service-token`, `oidc` (a token of Knative's issuer instead), `network` (nothing is asked here)."""

    def __init__(
        self, settings: ServiceSettings, tokens: ServiceTokens, http: httpx.AsyncClient, *senders: ServiceName
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._allowed = frozenset({ServiceName.BROKER, *senders})
        self._jwks = JwksCache(
            http,
            settings.events_oidc_issuer,
            settings.events_oidc_jwks_url,
            ca_file=settings.events_oidc_ca_file,
            token_file=settings.events_oidc_token_file,
        )
        self._known: dict[str, float] = {}

    async def check(self, request: Request) -> None:
        """Raises NotAuthenticated, NotAllowed; Unavailable when the issuer's keys cannot be had: no broker repeats after a 401."""
        try:
            match self._settings.events_auth:
                case EventsAuth.SERVICE_TOKEN:
                    self._check_service(bearer(request))
                case EventsAuth.OIDC:
                    await self._check_oidc(bearer(request))
                case EventsAuth.NETWORK:
                    pass
        except KeyNotLookedFor as exc:
            raise Unavailable from exc
        except InvalidToken as exc:
            log.info("event_sender_not_authenticated", cause=str(exc))
            raise NotAuthenticated from exc

    def _check_service(self, token: str) -> None:
        if self._tokens.verify(token).service not in self._allowed:
            raise NotAllowed

    async def _check_oidc(self, token: str) -> None:
        """A checked token is remembered for a moment: a broker sends the same one with each event."""
        if self._known.get(token, 0.0) > time.time():
            return
        if not token or len(token) > MAX_TOKEN_LENGTH:
            raise InvalidToken("no token")
        given = self._settings
        claims = await verified_claims(
            token, self._jwks, issuer=given.events_oidc_issuer, audience=given.events_oidc_audience
        )
        if not _is_named(str(claims["sub"]), given.events_oidc_subject_list):
            raise NotAllowed
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        expires_at = claims["exp"]
        assert isinstance(expires_at, int | float)
        self._known[token] = min(time.time() + REMEMBERED_S, expires_at + LEEWAY_S)


def _is_named(subject: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns is the subject, or ends in `*` and begins it. Without patterns everybody is."""
    return not patterns or any(
        subject.startswith(pattern[:-1]) if pattern.endswith("*") else subject == pattern for pattern in patterns
    )
