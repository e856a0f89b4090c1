"""Who may call: keys, tokens of an issuer, tokens of services. A 401 never says which check failed."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
from shared_models import jwks
from shared_models.enums import Role, ServiceName
from shared_models.tokens import Acting, ServiceTokens

from tests.support.oidc import OidcIssuer, SigningKey
from tests.support.request_manager import TOKEN_KEY, Replica, Someone, Stage, service_headers, stage

ME = "/api/v1/users/me"


@asynccontextmanager
async def with_issuer(database_url: str, issuer: OidcIssuer, **settings: Any) -> AsyncIterator[tuple[Stage, Replica]]:
    async with httpx.AsyncClient(transport=issuer.transport(), base_url=issuer.url) as client:

        async def pass_on(request: httpx.Request) -> httpx.Response:
            reply = await client.get(request.url)
            return httpx.Response(
                reply.status_code, content=reply.content, headers={"content-type": "application/json"}
            )

        async with stage(database_url, others=pass_on) as made:
            oidc = {"oidc_issuer": issuer.url, "oidc_audience": issuer.audience, "oidc_roles_claim": "roles"}
            async with made.replica(**oidc, **settings) as replica:
                yield made, replica


async def me(replica: Replica, token: str) -> httpx.Response:
    return await replica.client.get(ME, headers={"authorization": f"Bearer {token}"})


async def test_a_person_is_made_at_the_first_sign_in_and_found_again(database_url: str) -> None:
    issuer = OidcIssuer()
    async with with_issuer(database_url, issuer) as (_, replica):
        first = (await me(replica, issuer.token("ana", email="Ana@Example.com"))).json()
        assert (first["email"], first["name"], first["role"]) == ("ana@example.com", "Ana", "user")
        again = (await me(replica, issuer.token("ana", roles=["operator", "cook"], name="Ana Q."))).json()
        assert again == first | {"name": "Ana Q.", "role": "operator"}
        demoted = (await me(replica, issuer.token("ana", name="Ana Q.", nonce="2"))).json()
        assert demoted["role"] == "user"
        other = (await me(replica, issuer.token("ben", email="ben@example.com"))).json()
        assert other["user_id"] != first["user_id"]


async def test_a_person_known_by_e_mail_is_the_same_person(database_url: str) -> None:
    issuer = OidcIssuer(algorithm="ES256")
    async with with_issuer(database_url, issuer) as (made, replica):
        ana = await made.person("ana")
        found = (await me(replica, issuer.token("sub-1", email="ana@example.com"))).json()
        assert found["user_id"] == str(ana.user_id)
        somebody_else = await me(replica, issuer.token("sub-2", email="ana@example.com"))
        assert (somebody_else.status_code, somebody_else.json()["code"]) == (403, "not_allowed")


async def test_the_first_administrator_is_named_by_the_settings(database_url: str) -> None:
    issuer = OidcIssuer()
    async with with_issuer(database_url, issuer, bootstrap_admin="Root@example.com") as (_, replica):
        assert (await me(replica, issuer.token("root", email="root@example.com"))).json()["role"] == "administrator"
        assert (await me(replica, issuer.token("ana"))).json()["role"] == "user"


@pytest.mark.parametrize("claims", [{"email": None}, {"email_verified": False}, {"email_verified": None}])
async def test_an_unverified_address_is_not_believed(database_url: str, claims: dict[str, Any]) -> None:
    issuer = OidcIssuer()
    async with with_issuer(database_url, issuer) as (_, replica):
        assert (await me(replica, issuer.token("ana", **claims))).status_code == 403


async def test_forged_tokens_are_refused_without_a_hint(database_url: str) -> None:
    issuer = OidcIssuer()
    async with with_issuer(database_url, issuer) as (_, replica):
        good = issuer.token("ana")
        assert (await me(replica, good)).status_code == 200
        now = int(time.time())
        head, body, signature = good.split(".")
        forged = {
            "expired": issuer.token("ana", exp=now - 60),
            "not yet valid": issuer.token("ana", nbf=now + 3600),
            "no expiry": issuer.token("ana", exp=None),
            "no audience": issuer.token("ana", aud=None),
            "other audience": issuer.token("ana", aud="another-app"),
            "other issuer": issuer.token("ana", iss="https://evil.test"),
            "other key": issuer.token("ana", key=SigningKey.new("RS256")),
            "other key, known id": issuer.token("ana", key=SigningKey.new("RS256"), header={"kid": issuer.key.key_id}),
            "alg none": issuer.unsigned_token("ana"),
            "no signature": f"{head}.{body}.",
            "another body": f"{head}.{issuer.token('ben').split('.')[1]}.{signature}",
            "public key as HMAC secret": jwt.encode({"sub": "ana", "exp": now + 60}, str(issuer.key.public_jwk()) * 2),
            "not a token": "nonsense",
            "empty": "",
            "a key that nobody has": "ssa_00000000_" + "A" * 43,
            "a key of another form": "ssa_1",
            "far too long": "x" * 20_000,
            "latin": "\u00fc",
        }
        replies = {
            name: await replica.client.get(ME, headers={b"authorization": b"Bearer " + token.encode("latin-1")})
            for name, token in forged.items()
        }
        assert {name: reply.status_code for name, reply in replies.items()} == dict.fromkeys(forged, 401)
        words = {reply.text.replace(reply.json()["request_id"], "") for reply in replies.values()}
        assert len(words) == 1
        assert all(reply.headers["www-authenticate"] == "Bearer" for reply in replies.values())


async def test_a_new_signing_key_is_found_and_an_unknown_one_is_not_looked_for_at_every_call(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "MIN_REFETCH_S", 3600.0)
    issuer = OidcIssuer()
    async with with_issuer(database_url, issuer) as (_, replica):
        assert (await me(replica, issuer.token("ana"))).status_code == 200
        looked = len(issuer.seen)
        for n in range(20):
            await me(replica, issuer.token("ana", key=SigningKey.new("ES256"), header={"kid": f"unknown-{n}"}))
        assert len(issuer.seen) == looked


async def test_an_issuer_that_is_down_is_a_503(database_url: str) -> None:
    issuer = OidcIssuer()
    issuer.is_down = True
    async with with_issuer(database_url, issuer) as (_, replica):
        assert (await me(replica, issuer.token("ana"))).status_code == 503


async def test_without_an_issuer_no_token_of_one_is_taken(replica: Replica) -> None:
    assert (await me(replica, OidcIssuer().token("ana"))).status_code == 401


async def test_a_header_is_no_identity(replica: Replica, ana: Someone) -> None:
    for headers in (
        {"x-user-id": str(ana.user_id)},
        {"x-forwarded-user": ana.email},
        {"authorization": f"Basic {ana.api_key}"},
    ):
        assert (await replica.client.get(ME, headers=headers)).status_code == 401
    assert (await replica.client.get(ME, headers={"x-api-key": ana.api_key})).json()["email"] == ana.email


async def make_key(replica: Replica, someone: Someone, **body: Any) -> httpx.Response:
    return await replica.client.post("/api/v1/api-keys", json={"name": "mine", **body}, headers=someone.headers)


async def test_a_key_is_shown_once_used_listed_and_revoked(stage: Stage, ana: Someone, ben: Someone) -> None:
    async with stage.replica() as replica:
        made = await make_key(replica, ana)
        assert made.status_code == 201
        key, key_id = made.json()["api_key"], made.json()["key_id"]
        assert (await me(replica, key)).json()["user_id"] == str(ana.user_id)
        listed = (await replica.get(ana, "/api/v1/api-keys")).json()["items"]
        assert [item["name"] for item in listed] == ["mine", "bootstrap"]
        assert key not in str(listed)
        assert key.startswith(listed[0]["prefix"])
        assert (await replica.client.delete(f"/api/v1/api-keys/{key_id}", headers=ben.headers)).status_code == 404
        assert (await replica.client.delete(f"/api/v1/api-keys/{key_id}", headers=ana.headers)).status_code == 204
        assert (await me(replica, key)).status_code == 401
        kept = await replica.parts.database.fetch("select k::text as row from api_keys k")
        assert not any(key in row["row"] or key[13:] in row["row"] for row in kept)


async def test_an_expired_key_is_refused(replica: Replica, ana: Someone) -> None:
    key = (await make_key(replica, ana, expires_in_days=1)).json()["api_key"]
    await replica.parts.database.execute("update api_keys set expires_at = now() where expires_at is not null")
    assert (await me(replica, key)).status_code == 401


async def test_a_key_is_looked_up_once_in_a_while(stage: Stage, replica: Replica, ana: Someone) -> None:
    await replica.ask(ana)
    await replica.parts.database.execute("update api_keys set revoked_at = now()")
    assert (await replica.ask(ana)).status_code == 200
    replica.parts.authenticator.forget_all()
    assert (await replica.ask(ana)).status_code == 401


async def test_a_key_cannot_do_more_than_its_scopes_nor_give_more(replica: Replica, ana: Someone) -> None:
    made = (await make_key(replica, ana, scopes=["requests:read", "account"])).json()
    reader = Someone(ana.user_id, ana.email, made["api_key"])
    request_id = (await replica.ask(ana)).json()["request_id"]
    assert (await replica.get(reader, f"/api/v1/requests/{request_id}/result")).status_code == 200
    refused = await replica.ask(reader)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert (await replica.get(reader, "/api/v1/sessions")).status_code == 403
    assert (await make_key(replica, reader, scopes=["requests:write"])).status_code == 403
    assert (await make_key(replica, reader)).json()["scopes"] == ["account", "requests:read"]


async def test_a_tool_acts_for_the_people_its_key_names(
    stage: Stage, replica: Replica, ana: Someone, ben: Someone
) -> None:
    root = await stage.person("root", Role.ADMINISTRATOR)
    assert (await make_key(replica, ana, kind="tool")).status_code == 403
    made = await make_key(replica, root, kind="tool", acts_for=[str(ana.user_id)])
    tool = {"x-api-key": made.json()["api_key"]}
    body = {"content": "hello", "user_id": str(ana.user_id), "tool_id": "hr", "tool_instance_id": "1"}
    first = await replica.client.post("/api/v1/requests/tool", json=body, headers=tool)
    assert first.status_code == 200, first.text
    again = await replica.client.post("/api/v1/requests/tool", json=body, headers=tool)
    assert again.json()["session_id"] == first.json()["session_id"]
    assert stage.agents.asked[0].person.user_id == ana.user_id
    assert stage.agents.asked[0].delivery is not None
    assert stage.agents.asked[0].delivery.mode == "preferred"
    foreign = await replica.client.post(
        "/api/v1/requests/tool", json=body | {"user_id": str(ben.user_id)}, headers=tool
    )
    assert foreign.status_code == 403
    request_id = first.json()["request_id"]
    assert (await replica.client.get(f"/api/v1/requests/{request_id}/result", headers=tool)).status_code == 200
    assert (await replica.get(ana, f"/api/v1/requests/{request_id}/result")).status_code == 200
    assert (await replica.get(ben, f"/api/v1/requests/{request_id}/result")).status_code == 404
    own = (await replica.ask(ana)).json()["request_id"]
    assert (await replica.client.get(f"/api/v1/requests/{own}/result", headers=tool)).status_code == 404
    for path in ("/api/v1/requests", ME, "/api/v1/sessions", "/api/v1/api-keys"):
        assert (await replica.client.get(path, headers=tool)).status_code == 403
    assert (await replica.client.post("/api/v1/requests/web", json={"content": "x"}, headers=tool)).status_code == 403
    listed = (await replica.get(root, "/api/v1/api-keys")).json()["items"]
    assert [item["kind"] for item in listed] == ["tool", "person"]


async def test_a_tool_for_everyone(stage: Stage, replica: Replica, ana: Someone) -> None:
    root = await stage.person("root", Role.ADMINISTRATOR)
    made = (await make_key(replica, root, kind="tool", acts_for="everyone")).json()
    assert made["acts_for"] == "everyone"
    body = {"content": "hello", "user_id": str(ana.user_id), "tool_id": "hr"}
    reply = await replica.client.post("/api/v1/requests/tool", json=body, headers={"x-api-key": made["api_key"]})
    assert reply.status_code == 200


async def test_services_resolve_people_and_nobody_else_does(replica: Replica, ana: Someone) -> None:
    async def resolve(headers: dict[str, str], **body: str) -> httpx.Response:
        return await replica.client.post("/api/v1/users/resolve", json=body, headers=headers)

    service = service_headers()
    unknown = await resolve(service, integration="slack", external_id="T1:U1")
    assert unknown.status_code == 404
    by_mail = await resolve(service, integration="slack", external_id="T1:U1", email="Ana@example.com")
    assert by_mail.json()["user_id"] == str(ana.user_id)
    known = await resolve(service, integration="slack", external_id="T1:U1")
    assert known.json() == by_mail.json()
    second_workspace = await resolve(service, integration="slack", external_id="T2:U9", email="ana@example.com")
    assert second_workspace.json()["user_id"] == str(ana.user_id)
    new = await resolve(
        service, integration="email", external_id="eve@example.com", email="eve@example.com", name="Eve"
    )
    assert (new.status_code, new.json()["name"], new.json()["role"]) == (200, "Eve", "user")
    assert (await resolve(ana.headers, integration="slack", external_id="T1:U1")).status_code == 403
    assert (await resolve({}, integration="slack", external_id="T1:U1")).status_code == 401


async def test_only_the_dispatcher_sends_slack_and_mail(stage: Stage, replica: Replica, ana: Someone) -> None:
    root = await stage.person("root", Role.ADMINISTRATOR)
    body = {"content": "x", "user_id": str(ana.user_id), "email_from": "a@b", "message_id": "<1@x>"}
    for headers in (ana.headers, root.headers, service_headers(ServiceName.AGENT_SERVICE)):
        assert (await replica.client.post("/api/v1/requests/email", json=body, headers=headers)).status_code == 403
    other_audience = ServiceTokens(TOKEN_KEY, ServiceName.INTEGRATION_DISPATCHER).make(ServiceName.AGENT_SERVICE)
    headers = {"authorization": f"Bearer {other_audience}"}
    assert (await replica.client.post("/api/v1/requests/email", json=body, headers=headers)).status_code == 401


def acting(someone: Someone, service: ServiceName = ServiceName.INTEGRATION_DISPATCHER) -> dict[str, str]:
    """The token of a service that does something for a person, who may have any role."""
    person = Acting(someone.user_id, someone.email, roles=tuple(Role))
    return {"authorization": f"Bearer {ServiceTokens(TOKEN_KEY, service).make(ServiceName.REQUEST_MANAGER, person)}"}


async def test_the_dispatcher_acts_for_a_person_within_what_a_message_may_do(database_url: str) -> None:
    async with stage(database_url) as made, made.replica() as replica:
        ana, ben = await made.person("ana"), await made.person("ben")
        hers, his = [(await replica.post(each))["request_id"] for each in (ana, ben)]

        async def call(method: str, path: str, headers: dict[str, str], **given: Any) -> int:
            return (await replica.client.request(method, path, headers=headers, **given)).status_code

        listed = await replica.client.get("/api/v1/requests", headers=acting(ana))
        assert [item["request_id"] for item in listed.json()["items"]] == [hers]
        rating = {"rating": "up"}
        assert await call("POST", f"/api/v1/requests/{hers}/feedback", acting(ana), json=rating) == 200
        assert await call("POST", f"/api/v1/requests/{his}/feedback", acting(ana), json=rating) == 404
        assert await call("GET", f"/api/v1/requests/{his}/result", acting(ana)) == 404
        assert await call("GET", "/api/v1/api-keys", acting(ana)) == 403
        assert await call("GET", "/api/v1/dead-letters", acting(ana)) == 403
        assert await call("GET", "/api/v1/requests", acting(ana, ServiceName.AGENT_SERVICE)) == 403
