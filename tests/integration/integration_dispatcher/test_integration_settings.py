"""Defaults, overrides, effective view, secrets, and who may do what to whom."""

import pytest
from integration_dispatcher.handlers.webhook import new_secret
from shared_models.enums import Role, ServiceName
from shared_models.ids import new_id
from shared_models.tokens import Acting, ServiceTokens
from shared_models.web import EVENTS_PATH

from tests.support.dispatcher import TOKEN_KEY, Dispatcher, ended, running, service_token, settings, wish

HOOK = "http://127.0.0.1:1799/hook?token=in-the-path"
MINE = "/api/v1/users/{me}/integrations"
EFFECTIVE = "/api/v1/users/{me}/integration-defaults"
DEFAULTS = "/api/v1/integration-defaults"


async def test_layers_win_in_the_order_environment_administrator_person(database_url: str) -> None:
    user, administrator = new_id(), new_id()
    given = settings(database_url, integration_defaults={"webhook": {"priority": 7, "retry_count": 4}})
    async with running(given) as dispatcher:

        async def priority() -> tuple[int, int, str]:
            items = (await dispatcher.get(EFFECTIVE, user))["items"]
            [webhook] = [item for item in items if item["integration"] == "webhook"]
            return webhook["priority"], webhook["retry_count"], webhook["source"]

        assert await priority() == (7, 4, "environment")
        body = {"priority": 9, "retry_count": 2}
        reply = await dispatcher.call(
            "PUT", f"{DEFAULTS}/webhook", administrator, json=body, roles=[Role.ADMINISTRATOR]
        )
        assert (reply.status_code, reply.json()["source"]) == (200, "administrator")
        assert await priority() == (9, 2, "administrator")
        await dispatcher.set_webhook(user, HOOK, priority=2)
        assert await priority() == (2, 2, "user")
        assert (await dispatcher.call("POST", EFFECTIVE + "/reset", user)).status_code == 200
        assert await priority() == (9, 2, "administrator")
        path = f"{DEFAULTS}/webhook"
        assert (await dispatcher.call("DELETE", path, administrator, roles=[Role.ADMINISTRATOR])).status_code == 204
        assert (await dispatcher.call("DELETE", path, administrator, roles=[Role.ADMINISTRATOR])).status_code == 404
        assert await priority() == (7, 4, "environment")


async def test_nothing_is_written_for_a_person_who_only_looks(dispatcher: Dispatcher) -> None:
    user = new_id()
    view = await dispatcher.get(EFFECTIVE, user)
    assert [(item["integration"], item["is_used"]) for item in view["items"]] == [("webhook", False), ("test", True)]
    assert (await dispatcher.get(MINE, user))["items"] == []
    assert (await dispatcher.call("GET", MINE + "/webhook", user)).status_code == 404
    assert await dispatcher.parts.database.fetchval("select count(*) from user_integration_configs") == 0


async def test_a_secret_is_made_and_shown_once_and_kept_while_the_url_stays(dispatcher: Dispatcher) -> None:
    user = new_id()
    path = MINE + "/webhook"
    first = await dispatcher.set_webhook(user, HOOK)
    assert first.startswith("whsec_")
    shown = await dispatcher.get(path, user)
    assert (shown["config"], shown["secret"]) == ({"url": HOOK}, None)
    again = await dispatcher.call("PUT", path, user, json={"config": {"url": HOOK}, "priority": 1})
    assert again.json()["secret"] is None
    off = await dispatcher.call("PUT", path, user, json={"enabled": False})
    assert (off.json()["enabled"], off.json()["config"]) == (False, {"url": HOOK})
    moved = await dispatcher.call("PUT", path, user, json={"config": {"url": HOOK + "2"}})
    assert moved.json()["secret"].startswith("whsec_")
    assert moved.json()["secret"] != first


async def test_a_given_secret_is_taken_and_never_shown(dispatcher: Dispatcher) -> None:
    user = new_id()
    body = {"config": {"url": HOOK, "secret": new_secret()}}
    reply = await dispatcher.call("PUT", MINE + "/webhook", user, json=body)
    assert (reply.status_code, reply.json()["secret"]) == (200, None)
    assert body["config"]["secret"] not in reply.text


@pytest.mark.parametrize(
    "body",
    [
        {"config": {}},
        {"config": {"url": "http://127.0.0.1:1799/", "secret": "short"}},
        {"config": {"url": "http://127.0.0.1:1799/", "secret": "whsec_" + "A" * 8}},
        {"config": {"url": "http://127.0.0.1:1799/", "header": "x"}},
        {"config": {"url": "http://10.0.0.1:1799/"}},
        {"config": {"url": "file:///etc/passwd"}},
        {"config": {"url": 5}},
        {"enabled": True},
        {"config": {"url": "http://127.0.0.1:1799/"}, "retry_count": 11},
        {"config": {"url": "http://127.0.0.1:1799/"}, "retry_delay_seconds": 3601},
        {"config": {"url": "http://127.0.0.1:1799/"}, "priority": 0},
        {"config": {"url": "http://127.0.0.1:1799/"}, "user_id": "somebody"},
        {"config": {"url": "http://127.0.0.1:1799/\x00"}},
    ],
)
async def test_settings_beyond_the_limits_are_refused(dispatcher: Dispatcher, body: dict[str, object]) -> None:
    reply = await dispatcher.call("PUT", MINE + "/webhook", new_id(), json=body)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
    assert "short" not in reply.text.replace("short cut", "")


async def test_an_integration_without_a_handler_is_not_there(dispatcher: Dispatcher) -> None:
    user = new_id()
    for method, path in (("GET", MINE + "/slack"), ("PUT", MINE + "/slack"), ("GET", DEFAULTS + "/slack")):
        reply = await dispatcher.call(method, path, user, json={"enabled": False} if method == "PUT" else None)
        assert reply.status_code == 404
    assert (await dispatcher.call("GET", MINE + "/pigeon", user)).status_code == 422


async def test_the_test_integration_has_no_settings_of_its_own(dispatcher: Dispatcher) -> None:
    user = new_id()
    reply = await dispatcher.call("PUT", MINE + "/test", user, json={"config": {"url": "x"}})
    assert reply.status_code == 422
    reply = await dispatcher.call("PUT", MINE + "/test", user, json={"config": {}})
    assert reply.status_code == 200


async def test_the_test_integration_is_off_in_production_until_somebody_switches_it_on(database_url: str) -> None:
    user = new_id()
    async with running(settings(database_url, profile="production")) as dispatcher:
        view = await dispatcher.get(EFFECTIVE, user)
        assert [item["is_used"] for item in view["items"]] == [False, False]
        reply = await dispatcher.call("PUT", MINE + "/webhook", user, json={"config": {"url": HOOK}})
        assert reply.json()["detail"] == "config.url: The URL must begin with https://."


async def test_other_peoples_things_are_not_there(dispatcher: Dispatcher) -> None:
    user, other, operator = new_id(), new_id(), new_id()
    await dispatcher.set_webhook(user, HOOK)
    await dispatcher.plan(ended(user, wish("test")))
    await dispatcher.idle()
    [delivery] = await dispatcher.deliveries(user)
    things = [
        ("GET", f"/api/v1/users/{user}/integrations"),
        ("GET", f"/api/v1/users/{user}/integrations/webhook"),
        ("PUT", f"/api/v1/users/{user}/integrations/webhook"),
        ("DELETE", f"/api/v1/users/{user}/integrations/webhook"),
        ("GET", f"/api/v1/users/{user}/integration-defaults"),
        ("POST", f"/api/v1/users/{user}/integration-defaults/reset"),
        ("GET", f"/api/v1/users/{user}/deliveries"),
        ("GET", f"/api/v1/deliveries/{delivery['delivery_id']}"),
        ("GET", f"/api/v1/deliveries/{delivery['delivery_id']}/attempts"),
        ("POST", f"/api/v1/deliveries/{delivery['delivery_id']}/replay"),
        ("GET", f"/api/v1/users/{user}/test-messages"),
        ("DELETE", f"/api/v1/users/{user}/test-messages"),
    ]
    own_only = {path for _, path in things[:6]}
    for method, path in things:
        body = {"enabled": False} if method == "PUT" else None
        assert (await dispatcher.call(method, path, other, json=body)).status_code == 404
        as_operator = await dispatcher.call(method, path, operator, roles=[Role.OPERATOR], json=body)
        assert (as_operator.status_code == 404) == (path in own_only)


async def test_an_administrator_may_only_switch_off_and_sees_nothing(dispatcher: Dispatcher) -> None:
    user, administrator = new_id(), new_id()
    await dispatcher.set_webhook(user, HOOK)
    path, roles = f"/api/v1/users/{user}/integrations/webhook", [Role.ADMINISTRATOR]
    refused = await dispatcher.call("PUT", path, administrator, roles=roles, json={"config": {"url": HOOK}})
    assert refused.status_code == 403
    done = await dispatcher.call("PUT", path, administrator, roles=roles, json={"enabled": False})
    assert (done.status_code, done.json()["config"]) == (200, {})
    mine = await dispatcher.get(MINE + "/webhook", user)
    assert (mine["enabled"], mine["disabled_reason"]) == (False, "An administrator switched it off.")
    assert mine["config"] == {"url": HOOK}


async def test_only_administrators_change_defaults(dispatcher: Dispatcher) -> None:
    for roles in ([Role.USER], [Role.OPERATOR]):
        for method in ("PUT", "DELETE"):
            body = {"enabled": False} if method == "PUT" else None
            reply = await dispatcher.call(method, DEFAULTS + "/test", new_id(), roles=roles, json=body)
            assert reply.status_code == 403
        assert (await dispatcher.call("GET", DEFAULTS, new_id(), roles=roles)).status_code == 200


async def test_every_route_refuses_whoever_is_not_a_named_service(dispatcher: Dispatcher) -> None:
    agent = ServiceTokens(TOKEN_KEY, ServiceName.AGENT_SERVICE)
    bad = {
        "nobody": "",
        "noise": "x.y.z",
        "other key": ServiceTokens("z" * 32, ServiceName.REQUEST_MANAGER).make(ServiceName.INTEGRATION_DISPATCHER),
        "other audience": service_token(ServiceName.AGENT_SERVICE),
    }
    for path, methods in routes(dispatcher):
        for method in methods:
            for token in bad.values():
                headers = {"authorization": f"Bearer {token}"}
                reply = await dispatcher.http.request(method, path, headers=headers)
                told = reply.content == b"" if path == EVENTS_PATH else reply.json()["detail"] == ""
                assert (reply.status_code, told) == (401, True)
            acting = Acting(new_id(), "ana@example.com", "Ana", (Role.ADMINISTRATOR,))
            token = agent.make(ServiceName.INTEGRATION_DISPATCHER, acting)
            headers = {"authorization": f"Bearer {token}"}
            assert (await dispatcher.http.request(method, path, headers=headers)).status_code == 403
            if path not in (EVENTS_PATH, "/api/v1/deliveries") and not path.startswith("/api/v1/dead-letters"):
                headers = {"authorization": f"Bearer {service_token()}"}
                assert (await dispatcher.http.request(method, path, headers=headers)).status_code == 403


def routes(dispatcher: Dispatcher) -> list[tuple[str, list[str]]]:
    """Every route but the open ones, with plausible ids; each names its callers."""
    found = []
    for path, item in dispatcher.app.openapi()["paths"].items():
        callers = {method: operation["x-callers"] for method, operation in item.items()}
        if callers.get("get") != ["nobody"]:
            plain = path.replace("{user_id}", str(new_id())).replace("{delivery_id}", str(new_id()))
            found.append((plain.replace("{integration}", "test"), [method.upper() for method in callers]))
    assert len(found) > 15
    return found


async def test_lists_come_in_pages(dispatcher: Dispatcher) -> None:
    user = new_id()
    for number in range(5):
        await dispatcher.plan(ended(user, wish("test"), content=str(number)))
    await dispatcher.idle()
    for path, newest_first in (("deliveries", True), ("test-messages", False)):
        seen: list[str] = []
        cursor = ""
        while True:
            page = await dispatcher.get(f"/api/v1/users/{{me}}/{path}?limit=2&cursor={cursor}", user)
            seen += [item["delivery_id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len(seen) == 5
        assert seen == sorted(seen, reverse=newest_first)
    assert (await dispatcher.call("GET", "/api/v1/users/{me}/deliveries?cursor=x", user)).status_code == 422
    assert (await dispatcher.call("GET", "/api/v1/users/{me}/deliveries?limit=101", user)).status_code == 422


async def test_the_inbox_can_be_cleared_and_a_repeated_delivery_does_not_fill_it_again(dispatcher: Dispatcher) -> None:
    user = new_id()
    await dispatcher.plan(ended(user, wish("test")))
    await dispatcher.idle()
    assert len(await dispatcher.inbox(user)) == 1
    assert (await dispatcher.call("DELETE", "/api/v1/users/{me}/test-messages", user)).status_code == 204
    assert await dispatcher.inbox(user) == []
    assert await dispatcher.statuses(user) == {"test": "delivered"}
