"""`ssa slack manifest` and `ssa doctor slack`."""

import json
from typing import Any

import httpx
import pytest
from self_service_cli.command import Surroundings
from self_service_cli.slack import SCOPES
from typer.testing import Result

from tests.support.cli import FakeLogins, ssa

TOKEN = "xoxb-very-secret"
WELL = {"ok": True, "user": "it", "team": "Example"}


def printed(*options: str) -> dict[str, Any]:
    result = ssa("slack", "manifest", *options)
    assert result.exit_code == 0, result.output
    manifest: dict[str, Any] = json.loads(result.stdout)
    return manifest


def test_with_an_address_slack_calls_its_three_doors() -> None:
    manifest = printed("--address", "https://it.example.com/")
    settings = manifest["settings"]

    assert settings["event_subscriptions"]["request_url"] == "https://it.example.com/slack/events"
    assert settings["interactivity"]["request_url"] == "https://it.example.com/slack/interactive"
    assert manifest["features"]["slash_commands"][0]["url"] == "https://it.example.com/slack/commands"
    assert settings["socket_mode_enabled"] is False


def test_without_an_address_the_app_calls_slack() -> None:
    manifest = printed("--name", "Help Desk", "--command", "/help-desk")

    assert manifest["settings"]["socket_mode_enabled"] is True
    assert "request_url" not in json.dumps(manifest)
    assert manifest["display_information"]["name"] == "Help Desk"
    assert manifest["features"]["slash_commands"][0]["command"] == "/help-desk"


def test_it_asks_for_no_more_than_is_used() -> None:
    scopes = printed()["oauth_config"]["scopes"]

    assert scopes == {"bot": sorted(SCOPES)}
    assert not any(
        "admin" in scope or scope.startswith(("files", "search", "channels:read")) for scope in scopes["bot"]
    )


@pytest.mark.parametrize("options", [("--address", "http://it.example.com"), ("--name", "x" * 36), ("--name", "")])
def test_what_slack_would_refuse_is_refused_here(options: tuple[str, str]) -> None:
    assert ssa("slack", "manifest", *options).exit_code == 2


def diagnose(reply: httpx.Response, token: str = TOKEN) -> Result:
    def slack(request: httpx.Request) -> httpx.Response:
        assert request.url == "https://slack.test/api/auth.test"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        return reply

    environ = {"SLACK_API_URL": "https://slack.test/api/"} | ({"SLACK_BOT_TOKEN": token} if token else {})
    around = Surroundings(
        create_http=lambda: httpx.AsyncClient(transport=httpx.MockTransport(slack)),
        logins=FakeLogins(),
        environ=environ,
    )
    result = ssa("doctor", "slack", "--json", surroundings=around)
    assert TOKEN not in result.output
    return result


def granted(*scopes: str) -> httpx.Response:
    return httpx.Response(200, json=WELL, headers={"x-oauth-scopes": ", ".join(scopes)})


def test_the_granted_scopes_are_compared_with_those_that_are_needed() -> None:
    well = diagnose(granted(*SCOPES, "files:read"))
    assert well.exit_code == 0
    assert "not needed: files:read" in well.stdout
    short = diagnose(granted(*(scope for scope in SCOPES if scope != "im:history")))
    assert short.exit_code == 1
    [_, scopes] = json.loads(short.stdout)["checks"]
    assert scopes["detail"] == "missing: im:history"
    assert "ssa slack manifest" in scopes["fix"]


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, json={"ok": False, "error": "invalid_auth"}),
        httpx.Response(500, content=b"no"),
        httpx.Response(200, json=[]),
    ],
)
def test_a_token_that_slack_refuses_is_an_error(reply: httpx.Response) -> None:
    assert diagnose(reply).exit_code == 1


def test_without_a_token_nothing_is_asked() -> None:
    result = diagnose(httpx.Response(500), token="")
    assert result.exit_code == 1
    assert "SLACK_BOT_TOKEN" in result.stdout
