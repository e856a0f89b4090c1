"""`ssa doctor`: what is not right with this set-up, and what to do about it."""

import asyncio
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import httpx
import typer
from pydantic import JsonValue
from shared_clients.request_manager import RequestManagerClient
from shared_models.errors import ServiceError

from self_service_cli.command import Command, client_for, command_of, ending
from self_service_cli.connection import Connection, is_loopback
from self_service_cli.failures import ExitCode, Failure, failure_of
from self_service_cli.fetching import Reply, fetch
from self_service_cli.output import Output
from self_service_cli.rows import items_of

MAX_SKEW_S = 30.0
PROGRAM_TIMEOUT_S = 180.0


class Subject(StrEnum):
    SERVICENOW = "servicenow"
    SLACK = "slack"


@dataclass(frozen=True)
class Program:
    """Another program's own checks, which know its settings. `words`: what it is about, and where it is installed."""

    package: str
    module: str
    words: tuple[str, str]


PROGRAMS = {
    Subject.SERVICENOW: Program("servicenow_mcp", "servicenow_mcp.doctor", ("ServiceNow", "The ServiceNow MCP server")),
    Subject.SLACK: Program(
        "integration_dispatcher", "integration_dispatcher.slack_doctor", ("Slack", "integration-dispatcher")
    ),
}


@dataclass(frozen=True)
class Check:
    """`detail`: what was seen. `fix`: what to do about it; empty when all is well."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def doctor(
    context: typer.Context,
    subject: Annotated[
        Subject | None,
        typer.Argument(help="Check ServiceNow's rights and catalogue, or the Slack app's scopes, instead."),
    ] = None,
) -> None:
    """Check the set-up: server, clock, token, versions, integrations. Each finding names its fix.

    `ssa doctor servicenow` reads the SERVICENOW_* variables of this shell, as the MCP server would; `ssa doctor slack` SLACK_*."""
    command = command_of(context)
    with ending(command):
        checks = check_program(command, subject) if subject else asyncio.run(check_all(command))
        show(command.out, checks)
        if not all(check.ok for check in checks):
            raise typer.Exit(ExitCode.ERROR)


async def check_all(command: Command) -> list[Check]:
    """Every check; the later ones only where they can tell anything."""
    found = command.connection()
    checks = [check_address(found)]
    async with command.surroundings.create_http() as http:
        try:
            reply = await fetch(http, "GET", found.url + "/readyz")
        except Failure as failure:
            fix = "Start it with `make up`, or name another server with --url or SSA_URL."
            return [*checks, Check("server", ok=False, detail=failure.message, fix=fix)]
        checks += [check_server(reply), check_clock(reply, command.surroundings.now())]
        checks.append(await check_versions(http, found.url))
        try:
            api = await client_for(command, http)
        except Failure as failure:
            return [*checks, Check("token", ok=False, detail=failure.message, fix=failure.hint)]
        checks.append(await check_token(api, found))
        if checks[-1].ok:
            checks.append(await check_integrations(api, found.url))
    return checks


def check_address(found: Connection) -> Check:
    detail = f"{found.url} (from {found.url_from})"
    if found.url.startswith("https://") or is_loopback(found.url):
        return Check("address", ok=True, detail=detail)
    return Check("address", ok=False, detail=detail, fix="Use an https:// address: your token travels over it.")


def check_server(reply: Reply) -> Check:
    if reply.status == 200:
        return Check("server", ok=True, detail="ready")
    if reply.status == 503:
        return Check("server", ok=False, detail="not ready", fix="Wait a moment; else look at the server's log.")
    detail = f"answers /readyz with status {reply.status}"
    return Check("server", ok=False, detail=detail, fix="Is this address Self-Service Agent's? Check --url.")


def check_clock(reply: Reply, now: float) -> Check:
    there = server_time(reply)
    if there is None:
        return Check("clock", ok=True, detail="the server does not tell its time")
    skew = now - there
    detail = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server"
    if abs(skew) <= MAX_SKEW_S:
        return Check("clock", ok=True, detail=detail)
    return Check("clock", ok=False, detail=detail, fix="Set this machine's clock: tokens are valid for minutes only.")


def server_time(reply: Reply) -> float | None:
    """Seconds since 1970 of the reply, by its Date, else by its request id: a UUIDv7 begins with milliseconds."""
    try:
        return parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
    except ValueError:
        pass
    try:
        request_id = UUID(reply.headers.get("x-request-id", ""))
    except ValueError:
        return None
    return (request_id.int >> 80) / 1000 if request_id.version == 7 else None


async def check_versions(http: httpx.AsyncClient, url: str) -> Check:
    """Equal up to the minor version. A server that does not publish its API description says nothing about it."""
    own = importlib.metadata.version("self-service-agent-cli")
    reply = await fetch(http, "GET", url + "/openapi.json")
    try:
        theirs = str(json.loads(reply.content)["info"]["version"])
    except (ValueError, TypeError, KeyError):
        return Check("versions", ok=True, detail=f"ssa {own}; the server does not tell its own")
    detail = f"ssa {own}, server {theirs}"
    if own.split(".")[:2] == theirs.split(".")[:2]:
        return Check("versions", ok=True, detail=detail)
    return Check("versions", ok=False, detail=detail, fix="Install the ssa of the server's version.")


async def check_token(api: RequestManagerClient, found: Connection) -> Check:
    try:
        user = await api.me()
    except ServiceError as error:
        failure = failure_of(error, found.url)
        return Check("token", ok=False, detail=f"{failure.message} (from {found.token_from})", fix=failure.hint)
    ends = ""
    if found.login and found.login.expires_at:
        ends = f", until {datetime.fromtimestamp(found.login.expires_at, UTC):%Y-%m-%d %H:%M} UTC"
    return Check("token", ok=True, detail=f"{user.email}, {user.role} (from {found.token_from}{ends})")


async def check_integrations(api: RequestManagerClient, url: str) -> Check:
    try:
        items = items_of(await api.effective_integrations())
    except ServiceError as error:
        failure = failure_of(error, url)
        return Check("integrations", ok=False, detail=failure.message, fix=failure.hint)
    used = [item for item in items if item.get("is_used")]
    detail = f"answers may go to {_names(used)}" if used else "none is used: answers can only be read here"
    paused = [item for item in used if item.get("is_paused")]
    if not paused:
        return Check("integrations", ok=True, detail=detail)
    detail += f"; what goes by {_names(paused)} waits: the provider refuses our account"
    fix = "Operators: see `ssa integrations health`, repair the account; `ssa integrations resume NAME` tries at once."
    return Check("integrations", ok=False, detail=detail, fix=fix)


def _names(items: list[dict[str, JsonValue]]) -> str:
    return ", ".join(str(item.get("integration")) for item in items)


def check_program(command: Command, subject: Subject) -> list[Check]:
    """Run a program's own checks. Raises Failure when it is not there or says nothing."""
    program = PROGRAMS[subject]
    about, where = program.words
    if importlib.util.find_spec(program.package) is None:
        hint = f"Run `ssa doctor {subject}` where it runs: in a checkout of the product, or in its container."
        raise Failure(f"{where} is not installed here.", code="not_installed", hint=hint)
    try:
        ended = command.surroundings.run_program((sys.executable, "-m", program.module), PROGRAM_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Failure(f"The checks of {about} did not end in time.", ExitCode.TIMEOUT, code="timeout") from None
    return read_report(ended.stdout, program)


def read_report(text: str, program: Program) -> list[Check]:
    """`{"checks": [{"name", "ok", "detail", "fix"}]}`. Raises Failure for anything else."""
    try:
        report: JsonValue = json.loads(text)
    except ValueError:
        report = None
    checks = report.get("checks") if isinstance(report, dict) else None
    found = [
        Check(str(item.get("name")), item.get("ok") is True, str(item.get("detail", "")), str(item.get("fix", "")))
        for item in items_of(checks)
    ]
    if not found:
        hint = f"Run it by hand: {sys.executable} -m {program.module}"
        raise Failure(f"The checks of {program.words[0]} did not tell anything.", code="no_report", hint=hint)
    return found


def show(out: Output, checks: Sequence[Check]) -> None:
    if out.is_json:
        out.document({"ok": all(check.ok for check in checks), "checks": [asdict(check) for check in checks]})
        return
    out.table(("check", "", "found"), [(check.name, "ok" if check.ok else "NOT OK", check.detail) for check in checks])
    for check in checks:
        if check.fix and not check.ok:
            out.note(f"{check.name}: {check.fix}")
