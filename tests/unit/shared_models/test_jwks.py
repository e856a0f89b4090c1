"""The issuer's keys: cached, renewed, and not looked for at a stranger's pace."""

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from shared_models.errors import Unavailable
from shared_models.jwks import FRESH_S, MAX_DOCUMENT_BYTES, MIN_REFETCH_S, JwksCache, KeyNotLookedFor

from tests.support.oidc import SigningKey

URL = "https://issuer.test"


@dataclass
class Issuer:
    """Answers with what it is told to; counts how often it is asked for keys."""

    documents: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int = 200
    now: float = 1000.0

    def publish(self, *keys: dict[str, Any]) -> None:
        self.documents = {
            "/.well-known/openid-configuration": {"issuer": URL, "jwks_uri": f"{URL}/keys"},
            "/keys": {"keys": list(keys)},
        }

    def cache(self, jwks_url: str = "") -> JwksCache:
        def handle(request: httpx.Request) -> httpx.Response:
            self.asked.append(request.url.path)
            return httpx.Response(self.status, json=self.documents[request.url.path])

        http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
        return JwksCache(http, URL, jwks_url, clock=lambda: self.now)


FIRST, SECOND = SigningKey.new("ES256"), SigningKey.new("ES256")


async def test_keys_are_discovered_once_and_kept() -> None:
    issuer = Issuer()
    issuer.publish(FIRST.public_jwk())
    cache = issuer.cache()
    for _ in range(3):
        assert await cache.key(FIRST.key_id) is not None
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_a_new_key_is_found_but_not_more_often_than_every_few_seconds() -> None:
    issuer = Issuer()
    issuer.publish(FIRST.public_jwk())
    cache = issuer.cache(f"{URL}/keys")
    assert await cache.key(FIRST.key_id) is not None
    issuer.publish(FIRST.public_jwk(), SECOND.public_jwk())
    with pytest.raises(KeyNotLookedFor):
        await cache.key(SECOND.key_id)
    issuer.now += MIN_REFETCH_S
    assert await cache.key(SECOND.key_id) is not None
    for n in range(10):
        with pytest.raises(KeyNotLookedFor):
            await cache.key(f"unknown {n}")
    assert len(issuer.asked) == 2


async def test_that_an_issuer_has_no_such_key_is_said_only_when_it_was_asked() -> None:
    issuer = Issuer()
    issuer.publish(FIRST.public_jwk())
    cache = issuer.cache(f"{URL}/keys")
    assert await cache.key(SECOND.key_id) is None
    issuer.status, issuer.now = 500, issuer.now + MIN_REFETCH_S
    with pytest.raises(KeyNotLookedFor):
        await cache.key(SECOND.key_id)


async def test_a_key_that_is_no_longer_published_is_forgotten_in_time() -> None:
    issuer = Issuer()
    issuer.publish(FIRST.public_jwk())
    cache = issuer.cache(f"{URL}/keys")
    assert await cache.key(FIRST.key_id) is not None
    issuer.publish(SECOND.public_jwk())
    assert await cache.key(FIRST.key_id) is not None
    issuer.now += FRESH_S + 1
    assert await cache.key(FIRST.key_id) is None


async def test_known_keys_outlive_an_issuer_that_is_down() -> None:
    issuer = Issuer()
    issuer.publish(FIRST.public_jwk())
    cache = issuer.cache(f"{URL}/keys")
    await cache.key(FIRST.key_id)
    issuer.status, issuer.now = 500, issuer.now + FRESH_S + 1
    assert await cache.key(FIRST.key_id) is not None


async def test_without_any_keys_nothing_can_be_said() -> None:
    issuer = Issuer(status=500)
    issuer.publish(FIRST.public_jwk())
    with pytest.raises(Unavailable):
        await issuer.cache().key(FIRST.key_id)


async def test_a_token_without_a_key_id_fits_an_issuer_with_one_key() -> None:
    issuer = Issuer()
    issuer.publish(FIRST.public_jwk())
    assert await issuer.cache(f"{URL}/keys").key(None) is not None
    issuer.publish(FIRST.public_jwk(), SECOND.public_jwk())
    assert await issuer.cache(f"{URL}/keys").key(None) is None


@pytest.mark.parametrize(
    "document",
    [
        {"keys": "none"},
        {"none": []},
        [],
        {"keys": ["x" * (MAX_DOCUMENT_BYTES + 1)]},
    ],
)
async def test_documents_that_are_no_key_sets_are_refused(document: Any) -> None:
    issuer = Issuer(documents={"/keys": document})
    with pytest.raises(Unavailable):
        await issuer.cache(f"{URL}/keys").key("x")


async def test_a_document_of_another_issuer_is_refused() -> None:
    issuer = Issuer()
    issuer.publish(FIRST.public_jwk())
    issuer.documents["/.well-known/openid-configuration"]["issuer"] = "https://evil.test"
    with pytest.raises(Unavailable):
        await issuer.cache().key(FIRST.key_id)


async def test_only_keys_that_sign_with_allowed_algorithms_count() -> None:
    issuer = Issuer()
    good = FIRST.public_jwk()
    issuer.publish(
        {"kty": "oct", "k": "c2VjcmV0", "kid": "hmac", "alg": "HS256"},
        {**good, "kid": "encrypts", "use": "enc"},
        {**SigningKey.new("RS256").public_jwk(), "kid": "rs512", "alg": "RS512"},
        {"kty": "unknown", "kid": "odd"},
        good,
    )
    names = ("hmac", "encrypts", "rs512", "odd", FIRST.key_id)
    found = [name for name in names if await issuer.cache(f"{URL}/keys").key(name) is not None]
    assert found == [FIRST.key_id]
