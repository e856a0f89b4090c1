"""The issuer's keys: cached, renewed, and not looked for at a stranger's pace."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from shared_models.errors import Unavailable
from shared_models.jwks import FRESH_S, MAX_DOCUMENT_BYTES, MIN_REFETCH_S, JwksCache, KeyNotLookedFor

from tests.support.certificates import tls_pair
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


@asynccontextmanager
async def tls_issuer(folder: Path, token: str) -> AsyncIterator[tuple[str, list[str]]]:
    """(URL, what came as authorization) of a server whose certificate stands in localhost.pem; keys only for `token`."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        asked.extend(line.partition(": ")[2] for line in head if line.lower().startswith("authorization:"))
        body = json.dumps({"keys": [FIRST.public_jwk()]}).encode()
        status = "200 OK" if asked and asked[-1] == f"Bearer {token}" else "403 Forbidden"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "localhost", 0, ssl=tls_pair("localhost", folder)[0])
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}", asked


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


async def test_an_issuer_of_the_cluster_is_asked_with_its_authority_and_a_token_that_may_change(tmp_path: Path) -> None:
    token_file, ca_file = tmp_path / "token", tmp_path / "localhost.pem"
    token_file.write_text("second\n")
    async with tls_issuer(tmp_path, "second") as (url, asked), httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(Unavailable):
            await JwksCache(http, url, f"{url}/keys", token_file=token_file).key(FIRST.key_id)
        assert asked == []
        now = [0.0]
        cache = JwksCache(http, url, f"{url}/keys", ca_file=ca_file, token_file=token_file, clock=lambda: now[0])
        token_file.write_text("first\n")
        with pytest.raises(Unavailable):
            await cache.key(FIRST.key_id)
        token_file.write_text("second\n")
        now[0] += MIN_REFETCH_S
        assert await cache.key(FIRST.key_id) is not None
    assert asked == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("issuer", "jwks_url"),
    [
        ("https://issuer.test", "https://other.test/keys"),
        ("https://issuer.test", "https://issuer.test:8443/keys"),
        ("https://issuer.test", "http://issuer.test/keys"),
        ("https://issuer.test", "https://issuer.test.other.test/keys"),
        ("https://issuer.test", "https://issuer.test@other.test/keys"),
        ("http://issuer.test", "http://issuer.test/keys"),
    ],
)
async def test_the_token_for_the_issuer_goes_nowhere_else(tmp_path: Path, issuer: str, jwks_url: str) -> None:
    (tmp_path / "token").write_text("secret")
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"keys": [FIRST.public_jwk()]})

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        assert await JwksCache(http, issuer, jwks_url, token_file=tmp_path / "token").key(FIRST.key_id) is not None
    assert ["secret" in str(request.headers.raw) for request in seen] == [False]
