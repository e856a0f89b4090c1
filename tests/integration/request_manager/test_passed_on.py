"""Calls that the dispatcher answers: the person is named in the token, the reply and the refusal come back as they are."""

from typing import Any

import httpx
import orjson
from shared_models.enums import Role, ServiceName
from shared_models.tokens import ServiceTokens

from tests.support.request_manager import TOKEN_KEY, Replica, Someone, Stage

DISPATCHER_SIDE = ServiceTokens(TOKEN_KEY, ServiceName.INTEGRATION_DISPATCHER)
DELIVERY = "0199b1c0-0000-7000-8000-000000000000"


def answer(status: int, body: dict[str, Any] | None = None, kind: str = "application/json") -> httpx.Response:
    content = orjson.dumps(body) if body is not None else b""
    return httpx.Response(status, content=content, headers={"content-type": kind})


async def test_me_becomes_the_persons_own_id(stage: Stage, replica: Replica, ana: Someone) -> None:
    calls: list[tuple[str, str, dict[str, Any] | None, str]] = [
        ("GET", "/users/me/integrations", None, "/integrations"),
        ("GET", f"/users/{ana.user_id}/integrations/webhook", None, "/integrations/webhook"),
        ("PUT", "/users/me/integrations/webhook", {"enabled": True, "priority": 2}, "/integrations/webhook"),
        ("DELETE", "/users/me/integrations/webhook", None, "/integrations/webhook"),
        ("GET", "/users/me/integration-defaults", None, "/integration-defaults"),
        ("POST", "/users/me/integration-defaults/reset", None, "/integration-defaults/reset"),
        ("GET", "/users/me/deliveries?limit=5&cursor=abc&other=1", None, "/deliveries"),
        ("GET", "/users/me/test-messages", None, "/test-messages"),
        ("DELETE", "/users/me/test-messages", None, "/test-messages"),
    ]
    for method, path, body, passed_on in calls:
        reply = await replica.client.request(method, f"/api/v1{path}", json=body, headers=ana.headers)
        assert reply.status_code == 200, (path, reply.text)
        call = stage.dispatcher.calls[-1]
        assert (call.method, call.url.path) == (method, f"/api/v1/users/{ana.user_id}{passed_on}")
        assert (orjson.loads(call.content) if call.content else None) == body
        acting = DISPATCHER_SIDE.verify(call.headers["authorization"].removeprefix("Bearer ")).acting
        assert acting is not None
        assert (acting.user_id, acting.email, acting.roles) == (ana.user_id, ana.email, (Role.USER,))
    assert dict(stage.dispatcher.calls[6].url.params) == {"limit": "5", "cursor": "abc"}


async def test_another_persons_integrations_are_not_there(
    stage: Stage, replica: Replica, ana: Someone, ben: Someone
) -> None:
    operator = await stage.person("olivia", Role.OPERATOR)
    root = await stage.person("root", Role.ADMINISTRATOR)
    path = f"/api/v1/users/{ana.user_id}"
    for who in (ben, operator):
        for part in ("integrations", "integration-defaults", "integrations/webhook"):
            assert (await replica.get(who, f"{path}/{part}")).status_code == 404
        reply = await replica.client.put(f"{path}/integrations/webhook", json={"enabled": False}, headers=who.headers)
        assert reply.status_code == 404
    assert (await replica.get(ben, f"{path}/deliveries")).status_code == 404
    assert stage.dispatcher.calls == []
    assert (await replica.get(operator, f"{path}/deliveries")).status_code == 200
    switched_off = await replica.client.put(
        f"{path}/integrations/webhook", json={"enabled": False}, headers=root.headers
    )
    assert switched_off.status_code == 200
    token = stage.dispatcher.calls[-1].headers["authorization"].removeprefix("Bearer ")
    acting = DISPATCHER_SIDE.verify(token).acting
    assert acting is not None
    assert acting.roles == (Role.USER, Role.OPERATOR, Role.ADMINISTRATOR)


async def test_defaults_are_read_by_all_and_set_by_administrators(stage: Stage, replica: Replica, ana: Someone) -> None:
    root = await stage.person("root", Role.ADMINISTRATOR)
    path = "/api/v1/integration-defaults/webhook"
    for address in ("/api/v1/integration-defaults", path):
        assert (await replica.get(ana, address)).status_code == 200
    for who, status in ((ana, 403), (root, 200)):
        assert (await replica.client.put(path, json={"enabled": False}, headers=who.headers)).status_code == status
        assert (await replica.client.delete(path, headers=who.headers)).status_code == status


async def test_replies_and_refusals_come_back_as_they_are(stage: Stage, replica: Replica, ana: Someone) -> None:
    problem = {"detail": "Only what has ended is delivered again.", "code": "conflict", "hint": "Wait.", "status": 409}
    stage.dispatcher.reply = lambda _request: answer(409, problem, "application/problem+json")
    path = f"/api/v1/deliveries/{DELIVERY}"
    refused = await replica.client.post(f"{path}/replay", headers=ana.headers)
    assert refused.status_code == 409
    assert {name: refused.json()[name] for name in problem} == problem
    stage.dispatcher.reply = lambda _request: answer(202, {"delivery_id": DELIVERY})
    accepted = await replica.client.post(f"{path}/replay", headers=ana.headers)
    assert (accepted.status_code, accepted.json()) == (202, {"delivery_id": DELIVERY})
    stage.dispatcher.reply = lambda _request: answer(204)
    removed = await replica.client.delete("/api/v1/users/me/integrations/webhook", headers=ana.headers)
    assert (removed.status_code, removed.content) == (204, b"")
    for part in ("", "/attempts"):
        assert (await replica.get(ana, path + part)).status_code == 204


async def test_a_refusal_of_our_own_token_is_not_the_persons_fault(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.dispatcher.reply = lambda _request: answer(401)
    assert (await replica.get(ana, "/api/v1/integration-defaults")).status_code == 502
    stage.dispatcher.is_away = True
    assert (await replica.get(ana, "/api/v1/integration-defaults")).status_code == 503


async def test_a_setting_that_is_not_one_is_refused_here(stage: Stage, replica: Replica, ana: Someone) -> None:
    for body in ({"enabled": True, "colour": "red"}, {"priority": 0}, {"config": {"url": "a\x00"}}):
        reply = await replica.client.put("/api/v1/users/me/integrations/webhook", json=body, headers=ana.headers)
        assert reply.status_code == 422
    assert stage.dispatcher.calls == []
