"""Service tokens and identity tokens: what is not signed for this reader is refused."""

import base64
import time
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from shared_models.enums import Role, ServiceName
from shared_models.ids import new_id
from shared_models.tokens import (
    Acting,
    Identity,
    IdentitySigner,
    IdentityVerifier,
    InvalidToken,
    ServiceTokens,
    new_identity_key_pair,
)

KEY = "k" * 40
RM, AGENT = ServiceName.REQUEST_MANAGER, ServiceName.AGENT_SERVICE


def claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    return {"sub": RM.value, "aud": AGENT.value, "iat": now, "exp": now + 60, **changes}


def test_a_service_is_recognised_by_its_callee() -> None:
    token = ServiceTokens(KEY, RM).make(AGENT)
    assert ServiceTokens(KEY, AGENT).verify(token).service == RM


def test_the_acting_person_travels_with_the_call() -> None:
    ana = Acting(new_id(), "ana@example.com", "Ana", (Role.USER, Role.OPERATOR))
    token = ServiceTokens(KEY, RM).make(AGENT, acting=ana)
    assert ServiceTokens(KEY, AGENT).verify(token).acting == ana


def test_a_token_is_reused_while_it_is_fresh() -> None:
    tokens = ServiceTokens(KEY, RM)
    assert tokens.make(AGENT) == tokens.make(AGENT)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        jwt.encode(claims(), "z" * 40, algorithm="HS256"),
        jwt.encode(claims(exp=int(time.time()) - 60), KEY, algorithm="HS256"),
        jwt.encode(claims(aud="integration-dispatcher"), KEY, algorithm="HS256"),
        jwt.encode(claims(sub="somebody"), KEY, algorithm="HS256"),
        jwt.encode(claims(act={"sub": "x"}), KEY, algorithm="HS256"),
        jwt.encode(claims(act="admin"), KEY, algorithm="HS256"),
        jwt.encode({"sub": RM.value, "aud": AGENT.value}, KEY, algorithm="HS256"),
        jwt.encode(claims(), "", algorithm="none"),
    ],
)
def test_every_other_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        ServiceTokens(KEY, AGENT).verify(token)


SIGNING_KEY, PUBLIC_KEY = new_identity_key_pair()
IDENTITY = Identity(new_id(), "ana@example.com", "Ana", new_id(), "find_my_laptops", "intent")


def identity_claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": "agent-service",
        "aud": "mcp:servicenow",
        "sub": str(IDENTITY.user_id),
        "email": "ana@example.com",
        "request_id": str(IDENTITY.request_id),
        "tool": "x",
        "iat": now,
        "exp": now + 60,
        **changes,
    }


def signed(**changes: object) -> str:
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(SIGNING_KEY))
    return jwt.encode(identity_claims(**changes), key, algorithm="EdDSA")


def test_the_identity_arrives_whole() -> None:
    token = IdentitySigner(SIGNING_KEY).sign(IDENTITY, server="servicenow")
    assert IdentityVerifier(PUBLIC_KEY, server="servicenow").verify(token) == IDENTITY


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        signed(aud="mcp:other"),
        signed(iss="somebody"),
        signed(exp=int(time.time()) - 30),
        signed(sub="ana"),
        signed(request_id="7"),
        jwt.encode(identity_claims(), "", algorithm="none"),
        jwt.encode(identity_claims(), PUBLIC_KEY, algorithm="HS256"),
        jwt.encode(identity_claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA"),
    ],
)
def test_a_forged_or_foreign_identity_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        IdentityVerifier(PUBLIC_KEY, server="servicenow").verify(token)


def test_ids_are_version_7_and_ordered_by_time() -> None:
    ids: list[UUID] = [new_id() for _ in range(3)]
    assert {item.version for item in ids} == {7}
    assert [item.int >> 80 for item in ids] == sorted(item.int >> 80 for item in ids)
