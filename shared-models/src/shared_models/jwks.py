"""Tokens of an OpenID Connect issuer, checked against its public keys: cached, and looked up again for an unknown key id,
but not at a stranger's pace.

Source: RFC 7517 (JWK), RFC 7519 (JWT), OpenID Connect Discovery 1.0."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import jwt
import orjson

from shared_models.errors import Unavailable
from shared_models.logging import get_logger
from shared_models.tokens import LEEWAY_S, InvalidToken

ALGORITHMS = ("RS256", "ES256", "EdDSA")
MAX_DOCUMENT_BYTES = 512 * 1024
TIMEOUT_S = 5.0
FRESH_S = 3600.0
MIN_REFETCH_S = 10.0

log = get_logger(__name__)


class KeyNotLookedFor(InvalidToken):
    """The key is not known, and the issuer could not be asked just now: it may have made it since."""


class JwksCache:
    """`jwks_url` empty: found by the issuer's discovery document. `ca_file`: trusted for it beside the system's authorities.

    `token_file`: proves to the issuer who asks; it goes to the issuer's own host by https, and nowhere else."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        issuer: str,
        jwks_url: str = "",
        *,
        ca_file: Path | None = None,
        token_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._ca_file = ca_file
        self._token_file = token_file
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._lock = asyncio.Lock()

    async def key(self, key_id: str | None) -> jwt.PyJWK | None:
        """The signing key; None when the issuer has none of this id.

        Raises KeyNotLookedFor; Unavailable without any keys at all."""
        found, is_looked_for = self._find(key_id), False
        if found is not None and not self._is_stale():
            return found
        async with self._lock:
            if (self._find(key_id) is None or self._is_stale()) and self._may_fetch():
                is_looked_for = await self._fetch()
        if self._fetched_at is None:
            raise Unavailable("The sign-in service does not answer right now.")
        found = self._find(key_id)
        if found is None and not is_looked_for:
            raise KeyNotLookedFor("the key could not be looked for")
        return found

    def _find(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    def _is_stale(self) -> bool:
        return self._fetched_at is None or self._clock() - self._fetched_at > FRESH_S

    def _may_fetch(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= MIN_REFETCH_S

    async def _fetch(self) -> bool:
        """False, with the keys of before, when the issuer does not answer."""
        self._tried_at = self._clock()
        try:
            if not self._jwks_url:
                self._jwks_url = await self._discover()
            document = await self._get(self._jwks_url)
            self._keys = _signing_keys(document)
            self._fetched_at = self._clock()
        except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError) as exc:
            log.error("jwks_fetch_failed", issuer=self._issuer, cause=_words(exc))
            return False
        return True

    async def _discover(self) -> str:
        document = await self._get(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document["issuer"] != self._issuer:
            raise ValueError("the discovery document names another issuer")
        return str(document["jwks_uri"])

    def _proof(self, url: str) -> dict[str, str]:
        """Read for each call: Kubernetes writes a new token before the old one ends."""
        if self._token_file is None or not _is_origin(url, self._issuer):
            return {}
        return {"authorization": f"Bearer {self._token_file.read_text(encoding='ascii').strip()}"}

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        """With a CA file a client of its own, once an hour: the shared one trusts the system's authorities alone."""
        if self._ca_file is None:
            yield self._http
            return
        tls = ssl.create_default_context()
        tls.load_verify_locations(self._ca_file)
        async with httpx.AsyncClient(verify=tls, trust_env=False) as http:
            yield http

    async def _get(self, url: str) -> dict[str, object]:
        """A JSON object of bounded size. Raises httpx.HTTPError, ValueError."""
        body = b""
        headers = {"accept": "application/json", **self._proof(url)}
        async with self._client() as http, http.stream("GET", url, timeout=TIMEOUT_S, headers=headers) as reply:
            reply.raise_for_status()
            async for chunk in reply.aiter_bytes():
                body += chunk
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise ValueError("the document is too large")
        value = orjson.loads(body)
        if not isinstance(value, dict):
            raise TypeError("the document is no object")
        return value


def _words(error: Exception) -> str:
    status = f" {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else ""
    return type(error).__name__ + status


def _is_origin(url: str, issuer: str) -> bool:
    """Whether both have https, and the same host and port."""
    one, other = httpx.URL(url), httpx.URL(issuer)
    return one.scheme == other.scheme == "https" and (one.host, one.port) == (other.host, other.port)


async def verified_claims(token: str, jwks: JwksCache, *, issuer: str, audience: str) -> dict[str, object]:
    """The claims of a token that this issuer made for this audience and that has not run out.

    Raises InvalidToken (KeyNotLookedFor: it may be valid later), Unavailable."""
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise InvalidToken("not signed with a key of an issuer")
        key_id = header.get("kid")
        key = await jwks.key(key_id if isinstance(key_id, str) else None)
        if key is None or key.algorithm_name != header["alg"]:
            raise InvalidToken("no key for this token")
        claims: dict[str, object] = jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm_name],
            audience=audience,
            issuer=issuer,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError) as exc:
        raise InvalidToken(str(exc)) from exc
    return claims


def _signing_keys(document: dict[str, object]) -> dict[str, jwt.PyJWK]:
    """The keys that may sign tokens for us, by id; keys of other kinds are left out."""
    listed = document["keys"]
    if not isinstance(listed, list):
        raise TypeError("keys is no list")
    keys: dict[str, jwt.PyJWK] = {}
    for item in listed:
        if not isinstance(item, dict) or item.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(item)
        except jwt.PyJWTError:
            continue
        if key.algorithm_name in ALGORITHMS:
            keys[str(item.get("kid", ""))] = key
    return keys
