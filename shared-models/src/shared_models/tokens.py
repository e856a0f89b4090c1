"""Short-lived signed tokens: between services (HS256), and from agent-service to MCP servers (EdDSA).

Source: RFC 7519; the `aud` rule of RFC 8707."""

import base64
import time
from dataclasses import dataclass
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared_models.enums import Role, ServiceName
from shared_models.ids import new_id

SERVICE_TOKEN_LIFETIME_S = 300
IDENTITY_TOKEN_LIFETIME_S = 60
IDENTITY_ISSUER = "agent-service"
LEEWAY_S = 10
MAX_KNOWN_TOKENS = 256


class InvalidToken(Exception):
    """The token is not valid here. Its text is for logs; callers are never told which check failed."""


@dataclass(frozen=True)
class Acting:
    """The person on whose behalf a service calls, as request-manager verified them."""

    user_id: UUID
    email: str
    name: str = ""
    roles: tuple[Role, ...] = (Role.USER,)


@dataclass(frozen=True)
class ServiceCaller:
    """A verified calling service. `acting` is None when the service calls for itself."""

    service: ServiceName
    acting: Acting | None = None


@dataclass(frozen=True)
class Identity:
    """Who acts in a tool call, and for which request. `intent` is the confirmation's id for a confirmed write."""

    user_id: UUID
    email: str
    name: str
    request_id: UUID
    tool: str
    intent: str = ""


class ServiceTokens:
    """Makes and checks the tokens with which services call each other.

    A token without `acting` is reused for half its life, and a checked one is remembered until it expires."""

    def __init__(self, key: str, service: ServiceName) -> None:
        self._key = key
        self._service = service
        self._made: dict[str, tuple[str, float]] = {}
        self._known: dict[str, tuple[ServiceCaller, float]] = {}

    def make(self, audience: ServiceName, acting: Acting | None = None) -> str:
        now = time.time()
        if acting is not None:
            return self._sign(audience, now, acting)
        token, until = self._made.get(audience, ("", 0.0))
        if until <= now:
            token = self._sign(audience, now, None)
            self._made[audience] = (token, now + SERVICE_TOKEN_LIFETIME_S / 2)
        return token

    def verify(self, token: str) -> ServiceCaller:
        """Return the calling service. Raises InvalidToken."""
        known = self._known.get(token)
        if known is not None and known[1] > time.time():
            return known[0]
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=self._service.value,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "aud"]},
            )
            caller = ServiceCaller(ServiceName(claims["sub"]), _acting(claims.get("act")))
        except (jwt.PyJWTError, ValueError, KeyError, TypeError) as exc:
            raise InvalidToken(str(exc)) from exc
        if len(self._known) >= MAX_KNOWN_TOKENS:
            self._known.clear()
        self._known[token] = (caller, float(claims["exp"]))
        return caller

    def _sign(self, audience: ServiceName, now: float, acting: Acting | None) -> str:
        claims: dict[str, object] = {
            "sub": self._service.value,
            "aud": audience.value,
            "iat": int(now),
            "exp": int(now) + SERVICE_TOKEN_LIFETIME_S,
        }
        if acting is not None:
            claims["act"] = {
                "sub": str(acting.user_id),
                "email": acting.email,
                "name": acting.name,
                "roles": [role.value for role in acting.roles],
            }
        return jwt.encode(claims, self._key, algorithm="HS256")


def _acting(claim: object) -> Acting | None:
    if claim is None:
        return None
    if not isinstance(claim, dict):
        raise TypeError("act is no object")
    roles = tuple(Role(role) for role in claim["roles"])
    return Acting(UUID(claim["sub"]), str(claim["email"]), str(claim["name"]), roles)


def new_identity_key_pair() -> tuple[str, str]:
    """Return (signing key, public key), each the base64 of 32 raw bytes."""
    private = Ed25519PrivateKey.generate()
    return (
        base64.b64encode(private.private_bytes_raw()).decode(),
        base64.b64encode(private.public_key().public_bytes_raw()).decode(),
    )


class IdentitySigner:
    """Signs one token per tool call. `signing_key`: base64 of the raw 32-byte Ed25519 seed. Raises ValueError for another."""

    def __init__(self, signing_key: str) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(signing_key, validate=True))

    def sign(self, identity: Identity, *, server: str) -> str:
        """Return the token for one call to the MCP server named `server`."""
        now = int(time.time())
        claims: dict[str, str | int] = {
            "iss": IDENTITY_ISSUER,
            "aud": f"mcp:{server}",
            "sub": str(identity.user_id),
            "email": identity.email,
            "name": identity.name,
            "request_id": str(identity.request_id),
            "tool": identity.tool,
            "iat": now,
            "exp": now + IDENTITY_TOKEN_LIFETIME_S,
            "jti": str(new_id()),
        }
        if identity.intent:
            claims["intent"] = identity.intent
        return jwt.encode(claims, self._private, algorithm="EdDSA")


class IdentityVerifier:
    """Checks identity tokens for one MCP server. `public_key`: base64 of the raw 32-byte Ed25519 public key."""

    def __init__(self, public_key: str, *, server: str) -> None:
        self._public = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        self._audience = f"mcp:{server}"

    def verify(self, token: str) -> Identity:
        """Return who acts. Raises InvalidToken."""
        try:
            claims = jwt.decode(
                token,
                self._public,
                algorithms=["EdDSA"],
                audience=self._audience,
                issuer=IDENTITY_ISSUER,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "aud", "iss", "request_id", "tool", "email"]},
            )
            return Identity(
                user_id=UUID(claims["sub"]),
                email=str(claims["email"]),
                name=str(claims.get("name", "")),
                request_id=UUID(claims["request_id"]),
                tool=str(claims["tool"]),
                intent=str(claims.get("intent", "")),
            )
        except (jwt.PyJWTError, ValueError, TypeError) as exc:
            raise InvalidToken(str(exc)) from exc
