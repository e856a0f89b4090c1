"""The manifest of the Slack app, and what is told when the app has been granted less."""

import json
from pathlib import Path

import httpx
import pytest
from integration_dispatcher.settings_slack import SlackSettings
from integration_dispatcher.slack_doctor import check_scopes, run_checks
from local_stack.slack.settings import SCOPES as STANDIN_SCOPES
from pydantic import SecretStr
from shared_models.slack_manifest import ASK_SHORTCUT, EVENTS, SCOPES, manifest

from tests.support.cli import ssa

GUIDE = (Path(__file__).parents[3] / "docs" / "integrations" / "slack.md").read_text(encoding="utf-8")
HAS_ALL = ",".join(SCOPES)


def settings(token: str = "xoxb-test") -> SlackSettings:
    secret = SecretStr("a secret" if token else "")
    return SlackSettings(
        slack_bot_token=SecretStr(token), slack_signing_secret=secret, slack_api_url="https://s.test/api/"
    )


def slack(answer: dict[str, object], scopes: str = HAS_ALL) -> httpx.AsyncClient:
    def take(request: httpx.Request) -> httpx.Response:
        assert (request.method, str(request.url)) == ("POST", "https://s.test/api/auth.test")
        return httpx.Response(200, json=answer, headers={"x-oauth-scopes": scopes})

    return httpx.AsyncClient(transport=httpx.MockTransport(take))


async def test_an_app_with_all_scopes_is_well_and_more_than_needed_is_named() -> None:
    async with slack({"ok": True, "team": "Example", "user": "it"}, HAS_ALL + ",files:read") as http:
        token, scopes = await run_checks(settings(), http)
    assert (token.ok, token.detail) == (True, "it in Example")
    assert (scopes.ok, scopes.detail.endswith("not needed: files:read")) == (True, True)


async def test_a_missing_scope_is_named_with_its_reason_and_its_fix() -> None:
    found = check_scopes(HAS_ALL.replace(",users:read.email", ""))
    assert not found.ok
    assert found.detail == f"missing: users:read.email ({SCOPES['users:read.email']})"
    assert "ssa slack manifest" in found.fix


async def test_a_refused_token_and_no_token_are_told() -> None:
    async with slack({"ok": False, "error": "token_revoked"}) as http:
        [refused] = await run_checks(settings(), http)
        [missing] = await run_checks(settings(""), http)
    assert (refused.ok, "token_revoked" in refused.detail) == (False, True)
    assert (missing.ok, "SLACK_BOT_TOKEN" in missing.detail) == (False, True)


async def test_slack_that_does_not_answer_is_told_without_the_token() -> None:
    def breaks(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody is there", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(breaks)) as http:
        [found] = await run_checks(settings(), http)
    assert not found.ok
    assert "xoxb" not in str(found)


def test_the_stand_in_grants_what_the_manifest_asks_for() -> None:
    assert set(STANDIN_SCOPES.split(",")) >= set(SCOPES)


def test_the_manifest_names_this_deployments_addresses() -> None:
    found = json.loads(ssa("slack", "manifest", "https://it.example.com/").stdout)
    assert found == manifest("https://it.example.com")
    settings_of = found["settings"]
    assert settings_of["event_subscriptions"]["request_url"] == "https://it.example.com/slack/events"
    assert settings_of["interactivity"]["request_url"] == "https://it.example.com/slack/interactive"
    assert found["features"]["slash_commands"][0]["url"] == "https://it.example.com/slack/commands"
    assert [each["callback_id"] for each in found["features"]["shortcuts"]] == [ASK_SHORTCUT]
    assert found["oauth_config"]["scopes"]["bot"] == list(SCOPES)
    assert settings_of["event_subscriptions"]["bot_events"] == list(EVENTS)


def test_with_socket_mode_no_address_is_in_the_manifest() -> None:
    result = ssa("slack", "manifest", "--socket", "--command", "/help-it", "--name", "x" * 50)
    found = json.loads(result.stdout)
    assert "http" not in result.stdout
    assert (found["settings"]["socket_mode_enabled"], found["features"]["slash_commands"][0]["command"]) == (
        True,
        "/help-it",
    )
    assert len(found["display_information"]["name"]) == 35


@pytest.mark.parametrize("given", [[], ["http://it.example.com"], ["https://it.example.com", "--command", "it"]])
def test_an_address_that_slack_does_not_call_is_refused(given: list[str]) -> None:
    assert ssa("slack", "manifest", *given).exit_code == 2


def test_the_guide_explains_each_scope() -> None:
    assert [name for name in SCOPES if f"`{name}`" not in GUIDE] == []
