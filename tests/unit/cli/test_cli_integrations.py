"""`ssa integrations`: what is set, setting it, proving an address."""

from pathlib import Path
from typing import Any

import pytest
from self_service_cli.integrations import Integration
from shared_models.enums import DELIVERY_INTEGRATIONS

from tests.support.cli import AT, FakeRequestManager, both, reply, ssa

INTEGRATIONS = "/api/v1/users/me/integrations"
EFFECTIVE = "/api/v1/users/me/integration-defaults"
EFFECTIVE_WEBHOOK: dict[str, Any] = {
    "integration": "webhook",
    "enabled": True,
    "is_set_up": True,
    "is_used": True,
    "priority": 3,
    "retry_count": 1,
    "retry_delay_seconds": 30,
    "source": "user",
}


def test_integrations_are_listed_for_me_and_for_everybody(api: FakeRequestManager) -> None:
    off = {**EFFECTIVE_WEBHOOK, "integration": "email", "enabled": False}
    unset = {**EFFECTIVE_WEBHOOK, "integration": "slack", "is_set_up": False}
    gone = {**off, "integration": "sms", "disabled_reason": "It is gone."}
    waits = {**EFFECTIVE_WEBHOOK, "integration": "test", "is_paused": True}
    api.on("GET", EFFECTIVE, reply({"items": [EFFECTIVE_WEBHOOK, off, unset, gone, waits]}))
    api.on("GET", "/api/v1/integration-defaults", reply({"items": [EFFECTIVE_WEBHOOK]}))
    shown, _ = both(api, "integrations", "list")
    assert [line.split("\t")[:2] for line in shown.splitlines()] == [
        ["webhook", "on"],
        ["email", "off"],
        ["slack", "on, not set up"],
        ["sms", "off (It is gone.)"],
        ["test", "on, waits (the provider refuses our account)"],
    ]
    assert both(api, "integrations", "list", "--everybody")[0].startswith("webhook\ton\t3")


def test_operators_see_which_accounts_are_refused_and_resume_them(api: FakeRequestManager) -> None:
    paused = {
        "integration": "slack",
        "state": "paused",
        "reason": "The token was revoked.",
        "checked_at": AT.isoformat(),
    }
    api.on("GET", "/api/v1/integration-health", reply({"items": [paused]}))
    api.on("POST", "/api/v1/integration-health/slack/resume", reply({**paused, "state": "ok", "reason": ""}))
    shown, document = both(api, "integrations", "health")
    assert shown == "slack\tpaused\t2026-11-23 17:40\t\tThe token was revoked.\n"
    assert document["items"] == [paused]
    assert both(api, "integrations", "resume", "slack")[0].startswith("slack\tok\t")


def test_an_integration_is_set_with_its_settings(api: FakeRequestManager, tmp_path: Path) -> None:
    view = {"integration": "webhook", "enabled": True, "config": {"url": "https://x"}, "updated_at": AT.isoformat()}
    api.on("PUT", f"{INTEGRATIONS}/webhook", reply(view))
    (tmp_path / "settings.json").write_text('{"secret": "whsec_x", "url": "http://other"}')
    pairs = ("--config", "url=https://x?a=b", "--config", "rotate_secret=true", "--config", "number=12")
    file = ("--config-file", str(tmp_path / "settings.json"))
    numbers = ("--priority", "2", "--retry-count", "0", "--retry-delay-seconds", "5")
    assert "https://x" in both(api, "integrations", "set", "webhook", *pairs, *file, *numbers)[0]
    assert api.body("PUT", f"{INTEGRATIONS}/webhook") == {
        "enabled": True,
        "config": {"secret": "whsec_x", "url": "https://x?a=b", "rotate_secret": True, "number": 12},
        "priority": 2,
        "retry_count": 0,
        "retry_delay_seconds": 5,
    }
    ssa("integrations", "set", "webhook", "--config-file", "-", api=api, stdin='{"secret": "whsec_y"}')
    assert api.body("PUT", f"{INTEGRATIONS}/webhook", -1) == {"enabled": True, "config": {"secret": "whsec_y"}}


def test_a_new_address_is_verified_with_its_code_or_gets_another(api: FakeRequestManager) -> None:
    view = {"integration": "sms", "enabled": True, "config": {"phone": "+4915112345678"}, "is_verified": False}
    sent = {**view, "verification": "A code was sent there."}
    api.on("PUT", f"{INTEGRATIONS}/sms", reply(sent))
    api.on("POST", f"{INTEGRATIONS}/sms/verify", reply({**view, "is_verified": True}))
    api.on("POST", f"{INTEGRATIONS}/sms/verify/send", reply(sent))
    result = ssa("integrations", "set", "sms", "--config", "phone=+4915112345678", api=api)
    assert "A code was sent there." in result.stderr
    assert "ssa integrations verify sms CODE" in result.stderr
    assert both(api, "integrations", "verify", "sms")[0].startswith("sms\ton, not verified\t")
    assert both(api, "integrations", "verify", "sms", "123456")[0].startswith("sms\ton\t")
    assert api.body("POST", f"{INTEGRATIONS}/sms/verify") == {"code": "123456"}


def test_a_secret_that_was_just_made_is_shown_once(api: FakeRequestManager) -> None:
    view = {"integration": "webhook", "enabled": True, "config": {"url": "https://x"}, "secret": "whsec_new"}
    api.on("PUT", f"{INTEGRATIONS}/webhook", reply(view))
    shown, document = both(api, "integrations", "set", "webhook", "--config", "url=https://x")
    assert shown.splitlines()[1:] == ["whsec_new"]
    assert document["secret"] == "whsec_new"


def test_an_integration_is_disabled_and_reset(api: FakeRequestManager) -> None:
    view = {"integration": "email", "enabled": False, "config": {}, "updated_at": AT.isoformat()}
    api.on("PUT", f"{INTEGRATIONS}/email", reply(view))
    api.on("PUT", "/api/v1/integration-defaults/email", reply(view))
    api.on("DELETE", f"{INTEGRATIONS}/email", reply(None, 204))
    api.on("POST", f"{EFFECTIVE}/reset", reply({"items": []}))
    api.on("GET", EFFECTIVE, reply({"items": [EFFECTIVE_WEBHOOK]}))
    assert "email\toff" in both(api, "integrations", "disable", "email")[0]
    assert api.body("PUT", f"{INTEGRATIONS}/email") == {"enabled": False}
    assert ssa("integrations", "disable", "email", "--everybody", api=api).exit_code == 0
    assert both(api, "integrations", "reset", "email", "-y")[1]["items"] == [EFFECTIVE_WEBHOOK]
    assert both(api, "integrations", "reset", "-y")[1]["items"] == [EFFECTIVE_WEBHOOK]


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", "fax"),
        ("set", "webhook", "--config", "url"),
        ("set", "webhook", "--config", "=x"),
        ("set", "webhook", "--config-file", "/not/there"),
        ("set", "webhook", "--config-file", "-"),
        ("set", "webhook", "--priority", "0"),
        ("set", "webhook", "--everybody", "--config", "url=https://x"),
        ("disable",),
    ],
)
def test_settings_that_are_none_are_usage_errors(api: FakeRequestManager, arguments: tuple[str, ...]) -> None:
    result = ssa("integrations", *arguments, api=api, stdin="[1]")
    assert (result.exit_code, api.calls) == (2, [])


def test_every_integration_that_delivers_can_be_named() -> None:
    assert {each.value for each in Integration} == {each.value for each in DELIVERY_INTEGRATIONS}
