"""The stand-in issuer behaves as an issuer."""

from typing import Any

import httpx
import jwt
import pytest

from tests.support.oidc import AUDIENCE, DEVICE_GRANT, OidcIssuer, SigningKey, serving_issuer


async def published(issuer: OidcIssuer) -> jwt.PyJWKSet:
    async with httpx.AsyncClient(transport=issuer.transport()) as http:
        about = (await http.get(f"{issuer.url}/.well-known/openid-configuration")).json()
        assert about["issuer"] == issuer.url
        return jwt.PyJWKSet.from_dict((await http.get(about["jwks_uri"])).json())


def read(token: str, keys: jwt.PyJWKSet) -> dict[str, Any]:
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256", "ES256"], audience=AUDIENCE)
    return claims


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_token_verifies_with_the_published_key(algorithm: str) -> None:
    issuer = OidcIssuer(algorithm=algorithm, roles_claim="realm_access.roles")
    claims = read(issuer.token("ben", email="ben@example.com", roles=["operator"]), await published(issuer))
    assert (claims["iss"], claims["sub"], claims["email"]) == (issuer.url, "ben", "ben@example.com")
    assert claims["realm_access"] == {"roles": ["operator"]}


async def test_a_foreign_key_does_not_verify() -> None:
    issuer = OidcIssuer()
    foreign = SigningKey.new("RS256")
    forged = issuer.token(key=SigningKey(issuer.key.key_id, "RS256", foreign.private))
    keys = await published(issuer)
    with pytest.raises(jwt.InvalidSignatureError):
        read(forged, keys)


async def test_a_rotated_key_is_published_beside_the_old_one_until_that_is_forgotten() -> None:
    issuer = OidcIssuer()
    old_token = issuer.token()
    issuer.rotate("ES256")
    keys = await published(issuer)
    assert read(old_token, keys)["sub"] == read(issuer.token(), keys)["sub"] == "ana"
    issuer.forget_old_keys()
    assert [key.key_id for key in (await published(issuer)).keys] == [issuer.key.key_id]


def test_overrides_replace_claims_and_none_removes_one() -> None:
    claims = jwt.decode(OidcIssuer().token(exp=1, aud="else", name=None), options={"verify_signature": False})
    assert (claims["exp"], claims["aud"], "name" in claims) == (1, "else", False)


def test_an_unsigned_token_says_so() -> None:
    assert jwt.get_unverified_header(OidcIssuer().unsigned_token())["alg"] == "none"


async def test_a_device_waits_for_the_person_and_its_refresh_token_works_once() -> None:
    async with serving_issuer() as issuer, httpx.AsyncClient(timeout=60) as http:
        asked = (await http.post(f"{issuer.url}/device", data={"client_id": "ssa", "scope": "openid"})).json()
        poll = {"grant_type": DEVICE_GRANT, "device_code": asked["device_code"], "client_id": "ssa"}
        assert (await http.post(f"{issuer.url}/token", data=poll)).json() == {"error": "authorization_pending"}
        issuer.slow_down(1)
        assert (await http.post(f"{issuer.url}/token", data=poll)).json() == {"error": "slow_down"}
        issuer.approve(asked["user_code"], sub="cleo", email="cleo@example.com")
        granted = (await http.post(f"{issuer.url}/token", data=poll)).json()
        assert read(granted["access_token"], await _keys(http, issuer))["sub"] == "cleo"
        again = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"], "client_id": "ssa"}
        assert (await http.post(f"{issuer.url}/token", data=again)).status_code == 200
        assert (await http.post(f"{issuer.url}/token", data=again)).json() == {"error": "invalid_grant"}


async def _keys(http: httpx.AsyncClient, issuer: OidcIssuer) -> jwt.PyJWKSet:
    return jwt.PyJWKSet.from_dict((await http.get(f"{issuer.url}/jwks")).json())
