"""`ssa slack`: the app as Slack is to make it, and whether what it was given is enough.

Source: https://docs.slack.dev/reference/app-manifest"""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import httpx
import typer

from self_service_cli.command import command_of, ending
from self_service_cli.failures import Failure, usage
from self_service_cli.fetching import fetch

API_URL = "https://slack.com/api/"
# The least that works: what is read or written with each is in docs/integrations/slack.md.
SCOPES = (
    *("app_mentions:read", "assistant:write", "channels:history", "chat:write", "commands", "groups:history"),
    *("im:history", "im:write", "reactions:write", "users:read", "users:read.email"),
)
EVENTS = ("agent_session_stopped", "app_mention", "message.channels", "message.groups", "message.im")
MAX_NAME = 35

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def slack() -> None:
    """The Slack app: its manifest."""


@app.command("manifest")
def print_manifest(
    context: typer.Context,
    address: Annotated[
        str,
        typer.Option("--address", help="Where Slack reaches integration-dispatcher, https://…; without: Socket Mode."),
    ] = "",
    name: Annotated[str, typer.Option("--name", help="What people call the app.")] = "IT Self-Service",
    slash: Annotated[str, typer.Option("--command", help="The slash command.")] = "/it",
) -> None:
    """Print the manifest of the Slack app, to be pasted at https://api.slack.com/apps ("From a manifest")."""
    command = command_of(context)
    with ending(command):
        if address and not address.startswith("https://"):
            raise usage("Slack calls https:// addresses only.", "Leave --address out for Socket Mode.")
        if not 0 < len(name) <= MAX_NAME:
            raise usage(f"A Slack app's name has 1 to {MAX_NAME} characters.")
        command.out.text(json.dumps(manifest(address.rstrip("/"), name, slash), indent=2))


def manifest(address: str, name: str, slash: str) -> dict[str, Any]:
    """With an `address` Slack calls it; without one the app calls Slack (Socket Mode)."""

    def at(path: str, field: str = "request_url") -> dict[str, str]:
        return {field: f"{address}/slack/{path}"} if address else {}

    entry = {"command": slash, "description": "Ask IT", "usage_hint": "what you need", "should_escape": True}
    return {
        "display_information": {"name": name, "description": "Asks and answers for IT: laptops, tickets, how-to."},
        "features": {
            "app_home": {"messages_tab_enabled": True, "messages_tab_read_only_enabled": False},
            "bot_user": {"display_name": name, "always_online": True},
            "slash_commands": [{**entry, **at("commands", "url")}],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {**at("events"), "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **at("interactive")},
            "org_deploy_enabled": False,
            "socket_mode_enabled": not address,
            "token_rotation_enabled": False,
        },
    }


async def granted_scopes(http: httpx.AsyncClient, environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """The app's name in its workspace and what it was given. Raises Failure when Slack refuses the token, or there is none.

    Source: https://docs.slack.dev/reference/methods/auth.test, header X-OAuth-Scopes"""
    token = environment.get("SLACK_BOT_TOKEN", "")
    if not token:
        hint = "Set SLACK_BOT_TOKEN in this shell to the app's token (xoxb-…)."
        raise Failure("There is no token to check.", code="no_token", hint=hint)
    url = environment.get("SLACK_API_URL", API_URL).rstrip("/") + "/auth.test"
    reply = await fetch(http, "POST", url, headers={"authorization": f"Bearer {token}"})
    try:
        said = json.loads(reply.content)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("ok") is not True:
        reason = said.get("error") if isinstance(said, dict) else f"status {reply.status}"
        raise Failure(f"Slack refuses the token: {reason}.", code="refused", hint="Install the app again.")
    scopes = [each.strip() for each in reply.headers.get("x-oauth-scopes", "").split(",") if each.strip()]
    return f"{said.get('user')} in {said.get('team')}", scopes
