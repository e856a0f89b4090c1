"""`ssa slack manifest`: what the Slack app is made from."""

import json
from typing import Annotated
from urllib.parse import urlsplit

import typer
from shared_models.slack_manifest import DEFAULT_COMMAND, DEFAULT_NAME, manifest

from self_service_cli.command import command_of, ending
from self_service_cli.failures import ExitCode, Failure

app = typer.Typer(no_args_is_help=True)


@app.callback()
def slack() -> None:
    """Setting up the Slack app."""


@app.command("manifest")
def show_manifest(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="Where Slack reaches integration-dispatcher, https://…")] = "",
    socket: Annotated[bool, typer.Option("--socket", help="Socket Mode: Slack reaches nothing, no address.")] = False,
    name: Annotated[str, typer.Option(help="The app's name in Slack, at most 35 characters.")] = DEFAULT_NAME,
    slash_command: Annotated[str, typer.Option("--command", help="The slash command.")] = DEFAULT_COMMAND,
) -> None:
    """Print the manifest from which Slack makes the app, for https://api.slack.com/apps?new_app=1 (From a manifest)."""
    command = command_of(context)
    with ending(command):
        if not socket and urlsplit(address).scheme != "https":
            hint = "For example: ssa slack manifest https://it.example.com; or --socket, which needs no address."
            raise Failure("Slack calls https:// addresses only.", ExitCode.USAGE, code="usage", hint=hint)
        if not slash_command.startswith("/"):
            raise Failure(
                "A slash command begins with /.", ExitCode.USAGE, code="usage", hint="For example: --command /it"
            )
        print(json.dumps(manifest(address, name=name, command=slash_command, socket=socket), indent=2))
