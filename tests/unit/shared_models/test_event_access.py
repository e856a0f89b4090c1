"""Who may bring events: the broker and the named services, by whatever proof the settings ask for."""

from typing import Any

import httpx
import pytest
from fastapi import Request
from shared_models.enums import ServiceName
from shared_models.errors import NotAllowed, NotAuthenticated, Unavailable
from shared_models.event_access import EventAccess
from shared_models.settings import ServiceSettings
from shared_models.tokens import ServiceTokens

from tests.support.oidc import OidcIssuer, SigningKey

KEY = "k" * 32
AUDIENCE = "agent-service-events"
GOOD: dict[str, Any] = {"database_url": "postgresql://u@h/d", "service_token_key": KEY, "profile": "local"}
EVENTING = GOOD | {"eventing_enabled": True, "broker_url": "http://broker.test/ns/default"}
BROKERS_ACCOUNT = "system:serviceaccount:knative-eventing:kafka-broker-dispatcher"


def access(issuer: OidcIssuer | None = None, *senders: ServiceName, **more: Any) -> EventAccess:
    settings = ServiceSettings(**{**GOOD, **more})
    http = httpx.AsyncClient(transport=issuer.transport()) if issuer else httpx.AsyncClient()
    return EventAccess(settings, ServiceTokens(KEY, ServiceName.AGENT_SERVICE), http, *senders)


def oidc(issuer: OidcIssuer, **more: Any) -> EventAccess:
    given = {"events_auth": "oidc", "events_oidc_issuer": issuer.url, "events_oidc_audience": AUDIENCE}
    return access(issuer, **EVENTING | given | more)


def call(token: str | None) -> Request:
    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    return Request({"type": "http", "headers": headers})


def service_token(service: ServiceName, audience: ServiceName = ServiceName.AGENT_SERVICE, key: str = KEY) -> str:
    return ServiceTokens(key, service).make(audience)


async def test_the_broker_and_the_named_senders_get_in_with_a_service_token() -> None:
    guard = access(None, ServiceName.REQUEST_MANAGER)
    for service in (ServiceName.BROKER, ServiceName.REQUEST_MANAGER):
        await guard.check(call(service_token(service)))
    with pytest.raises(NotAllowed):
        await guard.check(call(service_token(ServiceName.INTEGRATION_DISPATCHER)))


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "nonsense",
        service_token(ServiceName.BROKER, ServiceName.REQUEST_MANAGER),
        service_token(ServiceName.BROKER, key="x" * 32),
    ],
)
async def test_no_token_of_ours_is_no_sender(token: str | None) -> None:
    with pytest.raises(NotAuthenticated):
        await access().check(call(token))


async def test_a_token_of_the_issuer_for_this_audience_gets_in_and_a_service_token_does_not() -> None:
    issuer = OidcIssuer(audience=AUDIENCE)
    guard = oidc(issuer)
    for _ in range(3):
        await guard.check(call(issuer.token(BROKERS_ACCOUNT, email=None)))
    with pytest.raises(NotAuthenticated):
        await guard.check(call(service_token(ServiceName.BROKER)))
    assert issuer.seen.count("/jwks") == 1


async def test_every_flaw_of_an_issuers_token_keeps_it_out() -> None:
    issuer = OidcIssuer(audience=AUDIENCE)
    guard = oidc(issuer)
    flawed = [
        issuer.token(aud="request-manager-events"),
        issuer.token(iss="https://other.test"),
        issuer.token(exp=1),
        issuer.token(exp=None),
        issuer.token(nbf=2**40),
        issuer.token(key=SigningKey.new("RS256"), header={"kid": issuer.key.key_id}),
        issuer.unsigned_token(),
        issuer.token()[:-4] + "AAAA",
        "x" * 20_000,
    ]
    for token in flawed:
        with pytest.raises(NotAuthenticated):
            await guard.check(call(token))


async def test_only_the_named_subjects_may_send_when_some_are_named() -> None:
    issuer = OidcIssuer(audience=AUDIENCE)
    guard = oidc(issuer, events_oidc_subjects=f"somebody, {BROKERS_ACCOUNT.rsplit(':', 1)[0]}:*")
    await guard.check(call(issuer.token(BROKERS_ACCOUNT)))
    await guard.check(call(issuer.token("somebody")))
    for stranger in ("somebody-else", "system:serviceaccount:default:any"):
        with pytest.raises(NotAllowed):
            await guard.check(call(issuer.token(stranger)))


async def test_an_issuer_that_is_away_means_later() -> None:
    issuer = OidcIssuer(audience=AUDIENCE)
    issuer.is_down = True
    with pytest.raises(Unavailable):
        await oidc(issuer).check(call(issuer.token()))


async def test_a_token_of_a_new_key_is_for_later_while_the_issuer_cannot_be_asked() -> None:
    issuer = OidcIssuer(audience=AUDIENCE)
    guard = oidc(issuer)
    await guard.check(call(issuer.token()))
    issuer.rotate()
    with pytest.raises(Unavailable):
        await guard.check(call(issuer.token()))


async def test_behind_a_network_policy_nothing_is_asked() -> None:
    await access(None, **EVENTING | {"events_auth": "network", "profile": "production"}).check(call(None))
