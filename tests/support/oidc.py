"""A stand-in OpenID Connect issuer: discovery, JWKS with rotation, signed tokens, and sign-in on another device.

`issuer.app` is an ASGI app: give it to httpx as `issuer.transport()`, or serve it with `serving_issuer()`.
Sources: OpenID Connect Discovery 1.0; RFC 7517 (JWK), RFC 8628 (device authorization), RFC 6749 (refresh)."""

import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.servers import free_socket, serving

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
AUDIENCE = "self-service-agent"
LIFETIME_S = 300
INTERVAL_S = 5

type PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class SigningKey:
    """`algorithm`: RS256 or ES256."""

    key_id: str
    algorithm: str
    private: PrivateKey = field(repr=False)

    @classmethod
    def new(cls, algorithm: str) -> "SigningKey":
        private: PrivateKey = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if algorithm == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )
        return cls(secrets.token_hex(4), algorithm, private)

    def public_jwk(self) -> dict[str, Any]:
        if isinstance(self.private, rsa.RSAPrivateKey):
            jwk = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            jwk = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.key_id, "alg": self.algorithm, "use": "sig"}


@dataclass
class DeviceLogin:
    """One sign-in under way. `outcome`: a dict of `token()` arguments once approved, or an error of RFC 8628 section 3.5."""

    user_code: str
    client_id: str
    scope: str
    outcome: dict[str, Any] | str = "authorization_pending"
    slow_downs: int = 0


class OidcIssuer:
    """`seen` holds the path of every request, in order. `now` gives seconds since 1970."""

    def __init__(
        self,
        url: str = "https://issuer.test",
        *,
        algorithm: str = "RS256",
        audience: str = AUDIENCE,
        roles_claim: str = "roles",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.url = url
        self.audience = audience
        self.seen: list[str] = []
        self.device_logins: dict[str, DeviceLogin] = {}
        self.refresh_tokens: dict[str, dict[str, Any]] = {}
        self.rotates_refresh_tokens = True
        self.offers_device_flow = True
        self.is_down = False
        self._roles_claim = roles_claim
        self._now = now
        self._keys = [SigningKey.new(algorithm)]
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/jwks", self._jwks),
                Route("/device", self._device, methods=["POST"]),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    @property
    def key(self) -> SigningKey:
        """The one that signs now."""
        return self._keys[-1]

    def transport(self) -> httpx.ASGITransport:
        return httpx.ASGITransport(self.app)

    def token(
        self,
        sub: str = "ana",
        *,
        email: str | None = "ana@example.com",
        roles: Sequence[str] = (),
        key: SigningKey | None = None,
        header: dict[str, Any] | None = None,
        **overrides: Any,
    ) -> str:
        """A signed token. Overrides replace claims; None removes one. `key`: another key than the issuer's."""
        now = int(self._now())
        claims: dict[str, Any] = {
            "iss": self.url,
            "sub": sub,
            "aud": self.audience,
            "iat": now,
            "exp": now + LIFETIME_S,
            "email": email,
            "email_verified": True if email else None,
            "name": sub.capitalize(),
            **self._roles(roles),
            **overrides,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        signing = key or self.key
        return jwt.encode(claims, signing.private, signing.algorithm, headers={"kid": signing.key_id, **(header or {})})

    def unsigned_token(self, sub: str = "ana", **overrides: Any) -> str:
        """A token with `alg: none`."""
        claims = jwt.decode(self.token(sub, **overrides), options={"verify_signature": False})
        return jwt.encode(claims, "", algorithm="none", headers={"kid": self.key.key_id})

    def rotate(self, algorithm: str | None = None) -> SigningKey:
        """Sign with a new key from now on; the old ones stay published. Returns the old one."""
        old = self.key
        self._keys.append(SigningKey.new(algorithm or old.algorithm))
        return old

    def forget_old_keys(self) -> None:
        """Publish only the key that signs now."""
        del self._keys[:-1]

    def approve(self, user_code: str | None = None, **token: Any) -> None:
        """Let a device in; `token`: arguments of `token()`. Without a code: the newest."""
        self._login(user_code).outcome = token

    def refuse(self, error: str = "access_denied", user_code: str | None = None) -> None:
        """`error`: access_denied, expired_token, or anything else that an issuer may answer."""
        self._login(user_code).outcome = error

    def slow_down(self, times: int, user_code: str | None = None) -> None:
        """Answer the next polls with `slow_down`."""
        self._login(user_code).slow_downs = times

    def _login(self, user_code: str | None) -> DeviceLogin:
        logins = list(self.device_logins.values())
        return logins[-1] if user_code is None else next(each for each in logins if each.user_code == user_code)

    def _roles(self, roles: Sequence[str]) -> dict[str, Any]:
        if not roles:
            return {}
        value: Any = list(roles)
        for part in reversed(self._roles_claim.split(".")):
            value = {part: value}
        assert isinstance(value, dict)
        return value

    def _seen(self, request: Request) -> Response | None:
        """Note the request; a reply when the issuer is down."""
        self.seen.append(request.url.path)
        return JSONResponse({}, 503) if self.is_down else None

    async def _discovery(self, request: Request) -> Response:
        document = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "token_endpoint": f"{self.url}/token",
            "authorization_endpoint": f"{self.url}/authorize",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({key.algorithm for key in self._keys}),
        }
        if self.offers_device_flow:
            document["device_authorization_endpoint"] = f"{self.url}/device"
        return self._seen(request) or JSONResponse(document)

    async def _jwks(self, request: Request) -> Response:
        return self._seen(request) or JSONResponse({"keys": [key.public_jwk() for key in self._keys]})

    async def _device(self, request: Request) -> Response:
        form = await _form(request)
        if form.get("client_id") in (None, "", "unknown"):
            return self._seen(request) or _error("invalid_client")
        code, user_code = secrets.token_urlsafe(16), "-".join((secrets.token_hex(2), secrets.token_hex(2))).upper()
        self.device_logins[code] = DeviceLogin(user_code, form["client_id"], form.get("scope", ""))
        reply = {
            "device_code": code,
            "user_code": user_code,
            "verification_uri": f"{self.url}/enter",
            "verification_uri_complete": f"{self.url}/enter?code={user_code}",
            "expires_in": LIFETIME_S,
            "interval": INTERVAL_S,
        }
        return self._seen(request) or JSONResponse(reply)

    async def _token(self, request: Request) -> Response:
        form = await _form(request)
        refused = self._seen(request)
        if refused is not None:
            return refused
        match form.get("grant_type"):
            case str(grant) if grant == DEVICE_GRANT:
                return self._poll(form)
            case "refresh_token":
                return self._refresh(form)
            case _:
                return _error("unsupported_grant_type")

    def _poll(self, form: dict[str, str]) -> Response:
        login = self.device_logins.get(form.get("device_code", ""))
        if login is None or login.client_id != form.get("client_id"):
            return _error("invalid_grant")
        if login.slow_downs > 0:
            login.slow_downs -= 1
            return _error("slow_down")
        return _error(login.outcome) if isinstance(login.outcome, str) else self._grant(login.outcome)

    def _refresh(self, form: dict[str, str]) -> Response:
        known = self.refresh_tokens.get(form.get("refresh_token", ""))
        if known is None:
            return _error("invalid_grant")
        if self.rotates_refresh_tokens:
            del self.refresh_tokens[form["refresh_token"]]
        return self._grant(known)

    def _grant(self, token: dict[str, Any]) -> Response:
        reply = {"access_token": self.token(**token), "token_type": "Bearer", "expires_in": LIFETIME_S}
        if self.rotates_refresh_tokens or not self.refresh_tokens:
            reply["refresh_token"] = secrets.token_urlsafe(24)
            self.refresh_tokens[str(reply["refresh_token"])] = token
        return JSONResponse(reply)


@asynccontextmanager
async def serving_issuer(**options: Any) -> AsyncIterator[OidcIssuer]:
    """An issuer on a free loopback port; options as of OidcIssuer."""
    sock, url = free_socket()
    issuer = OidcIssuer(url, **options)
    async with serving(issuer.app, sock):
        yield issuer


async def _form(request: Request) -> dict[str, str]:
    parsed = parse_qs((await request.body()).decode())
    return {name: values[0] for name, values in parsed.items()}


def _error(error: str) -> Response:
    return Response(json.dumps({"error": error}), 400, media_type="application/json")
