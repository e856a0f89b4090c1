"""`ssa`: ask, follow and manage requests from the command line."""

import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from self_service_cli import dead_letters, deliveries, integrations, keys, requests, sessions, slack
from self_service_cli.agents import agents
from self_service_cli.ask import ask
from self_service_cli.chat import chat
from self_service_cli.command import Command, Surroundings
from self_service_cli.doctor import doctor
from self_service_cli.failures import usage
from self_service_cli.feedback import feedback
from self_service_cli.login import login, logout
from self_service_cli.output import Output, error_document

FLAGS = ("--json", "--no-input", "--yes", "-y")
WITH_VALUE = ("--url", "--token")
EPILOG = (
    "Data goes to stdout, everything else to stderr. --json, --url, --token, --no-input and --yes may stand anywhere. "
    "Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 sign-in, 5 conflict, 6 timeout, 130 interrupted."
)


def global_options_first(arguments: Sequence[str]) -> list[str]:
    """The same arguments with the global options in front, so that they may stand behind a command as well."""
    first: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            rest += [argument, *left]
        elif argument in FLAGS or argument.startswith(tuple(f"{name}=" for name in WITH_VALUE)):
            first.append(argument)
        elif argument in WITH_VALUE:
            first += [argument, *([value] if (value := next(left, None)) is not None else [])]
        else:
            rest.append(argument)
    return first + rest


class Root(TyperGroup):
    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        given = global_options_first(sys.argv[1:] if args is None else args)
        return super().main(given, prog_name, complete_var, standalone_mode, windows_expand_args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """With --json, wrong arguments are a document as well. `ctx` is of a class that typer keeps to itself."""
        try:
            return super().invoke(ctx)
        except typer.TyperException as exc:
            if ctx.params.get("as_json"):
                Output(is_json=True).document(error_document(usage(exc.format_message())))
            raise


app = typer.Typer(
    name="ssa",
    cls=Root,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(ask)
app.command()(chat)
app.add_typer(requests.app, name="requests", help="What was asked, and what became of it.")
app.add_typer(sessions.app, name="sessions", help="Your conversations.")
app.command()(agents)
app.add_typer(deliveries.app, name="deliveries", help="Where answers went, and whether they arrived.")
app.add_typer(dead_letters.app, name="dead-letters", help="Operators: what was given up, and doing it again.")
app.add_typer(integrations.app, name="integrations", help="Where answers may go.")
app.add_typer(slack.app, name="slack", help="Administrators: setting up the Slack app.")
app.command()(feedback)
app.add_typer(keys.app, name="keys", help="API keys for scripts and tools.")
app.command()(login)
app.command()(logout)
app.command()(doctor)


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"ssa {importlib.metadata.version('self-service-agent-cli')}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,
    url: Annotated[str, typer.Option(help="The server's address (SSA_URL).")] = "",
    token: Annotated[str, typer.Option(help="A token or an API key (SSA_TOKEN, which other users cannot see).")] = "",
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask for anything.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Say yes to what would be asked.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Self-Service Agent on the command line: ask IT, follow requests, manage where answers go."""
    surroundings = context.obj if isinstance(context.obj, Surroundings) else Surroundings()
    out = Output(is_json=as_json)
    out.hide(token)
    context.obj = Command(surroundings, out, url=url, token=token, may_ask=not no_input, yes=yes)


def main() -> None:
    """The entry point `ssa`."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal that cannot show a character is no reason to fail
    app(obj=Surroundings(folders=(Path.cwd(), Path(__file__).resolve().parent)))
