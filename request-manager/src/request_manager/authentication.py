"""Who calls: an API key, a person's OIDC token, or a service's token. Which check failed is logged, never told."""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import jwt
from shared_models.api import UserView
from shared_models.batching import Batcher
from shared_models.database import Database
from shared_models.enums import CallerKind, ServiceName
from shared_models.errors import NotAllowed, NotAuthenticated
from shared_models.jwks import JwksCache, verified_claims
from shared_models.logging import get_logger
from shared_models.schemas import Person
from shared_models.tokens import LEEWAY_S, InvalidToken, ServiceTokens

from request_manager.domain.api_keys import looks_like_api_key, split_api_key
from request_manager.domain.callers import TOOL_SCOPES, Caller, person_caller
from request_manager.domain.sign_in import SignInRules, read_profile
from request_manager.store import people

REMEMBERED_S = 30.0
MAX_REMEMBERED = 10_000
MAX_TOKEN_LENGTH = 16_384
# A press of a button in Slack is that of a person whom the dispatcher has verified: it may read and ask as they, no more.
ACT_FOR_PEOPLE = frozenset({ServiceName.INTEGRATION_DISPATCHER})

log = get_logger(__name__)


@dataclass(frozen=True)
class OidcVerifier:
    jwks: JwksCache
    issuer: str
    audience: str
    rules: SignInRules

    async def claims(self, token: str) -> dict[str, object]:
        """The verified claims. Raises InvalidToken, Unavailable."""
        return await verified_claims(token, self.jwks, issuer=self.issuer, audience=self.audience)


@dataclass(frozen=True)
class _Remembered:
    caller: Caller
    until: float
    key_id: UUID | None = None


class Authenticator:
    """Verified keys and tokens are remembered for 30 s, by their hash: a revoked key is refused within that time."""

    def __init__(
        self,
        database: Database,
        tokens: ServiceTokens,
        oidc: OidcVerifier | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._oidc = oidc
        self._clock = clock
        self._known: dict[bytes, _Remembered] = {}
        self._find_key = Batcher[str, people.StoredKey | None](
            lambda prefixes: people.find_keys(database, prefixes), key=lambda prefix: prefix
        )

    async def caller(self, credential: str) -> Caller:
        """The verified caller. Raises NotAuthenticated, Unavailable; NotAllowed for an account without usable e-mail."""
        if not credential or len(credential) > MAX_TOKEN_LENGTH:
            raise NotAuthenticated
        digest = hashlib.sha256(credential.encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        if known is not None and known.until > self._clock():
            return known.caller
        try:
            found = await self._verify(credential)
        except InvalidToken as exc:
            log.info("not_authenticated", cause=str(exc))
            raise NotAuthenticated from exc
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[digest] = found
        return found.caller

    def forget_key(self, key_id: UUID) -> None:
        """A key was revoked here: do not wait for the memory to run out."""
        self._known = {digest: known for digest, known in self._known.items() if known.key_id != key_id}

    def forget_all(self) -> None:
        self._known.clear()

    async def _verify(self, credential: str) -> _Remembered:
        if looks_like_api_key(credential):
            return await self._by_api_key(credential)
        try:
            algorithm = jwt.get_unverified_header(credential).get("alg")
        except (jwt.PyJWTError, ValueError) as exc:
            raise InvalidToken("neither a key nor a token") from exc
        if algorithm == "HS256":
            return self._by_service_token(credential)
        return await self._by_oidc(credential)

    async def _by_api_key(self, key: str) -> _Remembered:
        split = split_api_key(key)
        stored = await self._find_key(split.prefix) if split is not None else None
        if split is None or stored is None or not hmac.compare_digest(stored.key_hash, split.digest):
            raise InvalidToken("unknown key")
        now = datetime.now(UTC)
        if stored.revoked_at is not None or (stored.expires_at is not None and stored.expires_at <= now):
            raise InvalidToken("revoked or expired key")
        lasts_s = REMEMBERED_S
        if stored.expires_at is not None:
            lasts_s = min(lasts_s, (stored.expires_at - now).total_seconds())
        return _Remembered(_caller_of_key(stored), self._clock() + lasts_s, stored.key_id)

    def _by_service_token(self, token: str) -> _Remembered:
        verified = self._tokens.verify(token)
        caller_id = f"service:{verified.service.value}"
        if verified.acting is not None and verified.service in ACT_FOR_PEOPLE:
            acting = verified.acting
            person = Person(user_id=acting.user_id, email=acting.email, name=acting.name)
            caller = Caller(CallerKind.PERSON, caller_id, TOOL_SCOPES, person)
        else:
            caller = Caller(CallerKind.SERVICE, caller_id, service=verified.service, acts_for=None)
        # ServiceTokens remembers for itself, and knows when the token ends.
        return _Remembered(caller, 0.0)

    async def _by_oidc(self, token: str) -> _Remembered:
        if self._oidc is None:
            raise InvalidToken("no issuer is configured")
        claims = await self._oidc.claims(token)
        person = await people.sign_in(self._database, read_profile(claims, self._oidc.rules))
        if person is None:
            raise NotAllowed("Your e-mail address belongs to another account. Ask an administrator.")
        expires_at = claims["exp"]
        assert isinstance(expires_at, int | float)
        lasts_s = min(REMEMBERED_S, expires_at + LEEWAY_S - time.time())
        return _Remembered(caller_of_person(person), self._clock() + lasts_s)


def caller_of_person(view: UserView) -> Caller:
    return person_caller(Person(user_id=view.user_id, email=view.email, name=view.name), view.role)


def _caller_of_key(stored: people.StoredKey) -> Caller:
    if stored.kind is CallerKind.TOOL:
        return Caller(CallerKind.TOOL, f"tool:{stored.key_id}", stored.scopes, acts_for=stored.acts_for)
    view = stored.person
    return person_caller(Person(user_id=view.user_id, email=view.email, name=view.name), view.role, stored.scopes)
