"""`ssa integrations`: where answers may go, in which order, with which settings."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from shared_clients.request_manager import RequestManagerClient
from shared_models.enums import IntegrationType
from shared_models.integrations import IntegrationBody

from self_service_cli.answers import checked
from self_service_cli.command import Command, command_of, ending, run
from self_service_cli.failures import usage
from self_service_cli.output import Output
from self_service_cli.rows import cells, items_of

app = typer.Typer(no_args_is_help=True)

MAX_CONFIG_CHARS = 64 * 1024


class Integration(StrEnum):
    """Those that deliver, as choices of the command line."""

    SLACK = IntegrationType.SLACK
    EMAIL = IntegrationType.EMAIL
    WEBHOOK = IntegrationType.WEBHOOK
    SMS = IntegrationType.SMS
    TEST = IntegrationType.TEST


IntegrationArgument = Annotated[Integration, typer.Argument(metavar="INTEGRATION", help="slack, email, webhook, …")]
EverybodyOption = Annotated[bool, typer.Option("--everybody", help="Administrators: the default for everybody.")]


@app.command("list")
def list_integrations(context: typer.Context, everybody: EverybodyOption = False) -> None:
    """List what holds for you, in the order in which it is tried."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        found = await (api.integration_defaults() if everybody else api.effective_integrations())
        show(command.out, found)

    run(context, work)


@app.command("set")
def set_integration(
    context: typer.Context,
    integration: IntegrationArgument,
    config: Annotated[list[str] | None, typer.Option(help="One setting, NAME=VALUE; several are possible.")] = None,
    config_file: Annotated[str, typer.Option(help="Settings as a JSON object in a file; `-` is stdin (secrets).")] = "",
    priority: Annotated[int | None, typer.Option(help="The lowest number is tried first.")] = None,
    retry_count: Annotated[int | None, typer.Option(min=0, help="How often to try again.")] = None,
    retry_delay_seconds: Annotated[int | None, typer.Option(min=1, help="The first pause before that.")] = None,
    everybody: EverybodyOption = False,
) -> None:
    """Switch an integration on and say how it is to be used.

    `ssa integrations set webhook --config url=https://example.com/hook`"""
    with ending(command_of(context)):
        values = {**read_config(config_file), **parse_config(config or [])}
        if everybody and values:
            raise usage("The default for everybody has no --config.", "Each person sets where their answers go.")
        body = checked(
            IntegrationBody,
            config=values or None,
            priority=priority,
            retry_count=retry_count,
            retry_delay_seconds=retry_delay_seconds,
        )
    change(context, integration, body, everybody=everybody)


@app.command("verify")
def verify_integration(
    context: typer.Context,
    integration: IntegrationArgument,
    code: Annotated[str, typer.Argument(metavar="[CODE]", help="What came there; without it a new one is sent.")] = "",
) -> None:
    """Prove that an address is yours, with the code that was sent there."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        found = await (api.verify_integration(integration, code) if code else api.send_verification_code(integration))
        show(command.out, found)
        show_verification(command.out, found)

    run(context, work)


@app.command("disable")
def disable_integration(
    context: typer.Context, integration: IntegrationArgument, everybody: EverybodyOption = False
) -> None:
    """Deliver nothing there."""
    change(context, integration, IntegrationBody(enabled=False), everybody=everybody)


@app.command("reset")
def reset_integrations(
    context: typer.Context,
    integration: Annotated[Integration | None, typer.Argument(metavar="[INTEGRATION]", help="Only this one.")] = None,
) -> None:
    """Drop your own changes, of one integration or of all: the defaults hold again."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        if integration is None:
            await api.reset_integrations()
        else:
            await api.remove_integration(integration)
        show(command.out, await api.effective_integrations())

    what = f"your changes of {integration}" if integration else "all your changes"
    run(context, work, question=f"Drop {what}?")


@app.command("health")
def show_health(context: typer.Context) -> None:
    """Operators: whether each integration's account at its provider works."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        show_states(command.out, await api.integration_health())

    run(context, work)


@app.command("resume")
def resume_integration(context: typer.Context, integration: IntegrationArgument) -> None:
    """Operators: the account works again, try now what waits."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        show_states(command.out, await api.resume_integration(integration))

    run(context, work)


def change(context: typer.Context, integration: Integration, body: IntegrationBody, *, everybody: bool) -> None:
    """Send what is set; what is not keeps its value."""
    settings: dict[str, JsonValue] = body.model_dump(mode="json", exclude_none=True)

    async def work(command: Command, api: RequestManagerClient) -> None:
        call = api.set_integration_default if everybody else api.set_integration
        found = await call(integration, settings)
        show(command.out, found)
        show_secret(command.out, found)
        show_verification(command.out, found)

    run(context, work)


def parse_config(pairs: list[str]) -> dict[str, JsonValue]:
    """NAME=VALUE; a value that is a JSON number, boolean, list or object is one. Raises Failure (usage)."""
    parsed: dict[str, JsonValue] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise usage(f"--config takes NAME=VALUE, not {pair!r}.")
        parsed[name] = _value(value)
    return parsed


def read_config(file: str) -> dict[str, JsonValue]:
    """The JSON object in a file or in stdin; an empty one without a file. Raises Failure (usage)."""
    if not file:
        return {}
    try:
        text = sys.stdin.read(MAX_CONFIG_CHARS) if file == "-" else Path(file).read_text(encoding="utf-8")
        value = json.loads(text)
    except (OSError, ValueError):
        raise usage("--config-file names no readable JSON file.") from None
    if not isinstance(value, dict):
        raise usage("--config-file must hold a JSON object.")
    return value


def show(out: Output, found: JsonValue) -> None:
    """A list, or the one that was changed."""
    if out.is_json:
        out.document(found)
        return
    items = items_of(found) or ([found] if isinstance(found, dict) and "integration" in found else [])
    rows = [
        (
            item.get("integration"),
            state_of(item),
            item.get("priority"),
            item.get("retry_count"),
            item.get("source", ""),
            json.dumps(item["config"]) if item.get("config") else "",
        )
        for item in items
    ]
    out.table(("integration", "state", "priority", "retries", "from", "settings"), rows)


def show_states(out: Output, found: JsonValue) -> None:
    """The health of all, or of the one that was resumed."""
    if out.is_json:
        out.document(found)
        return
    items = items_of(found) or ([found] if isinstance(found, dict) and "state" in found else [])
    names = ("integration", "state", "checked_at", "code", "reason")
    out.table(names, [cells(item, *names) for item in items])


def show_secret(out: Output, found: JsonValue) -> None:
    """A signing secret that was just made: the only time it can be seen."""
    secret = found.get("secret") if isinstance(found, dict) else None
    if isinstance(secret, str) and secret and not out.is_json:
        out.note("Its signing secret, shown this once:")
        out.text(secret)


def show_verification(out: Output, found: JsonValue) -> None:
    """What was done to have a new address proven, and what is left to do."""
    if not isinstance(found, dict) or out.is_json:
        return
    if found.get("verification"):
        out.note(str(found["verification"]))
    if found.get("is_verified") is False:
        out.note(f"Nothing is delivered there before: ssa integrations verify {found.get('integration')} CODE")


def state_of(item: dict[str, JsonValue]) -> str:
    if not item.get("enabled"):
        return f"off ({item['disabled_reason']})" if item.get("disabled_reason") else "off"
    if item.get("is_set_up") is False:
        return "on, not set up"
    if item.get("is_verified") is False:
        return "on, not verified"
    if item.get("reason"):
        return f"on, not used ({item['reason']})"
    return "on, waits (the provider refuses our account)" if item.get("is_paused") else "on"


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return text if value is None or isinstance(value, str) else value
