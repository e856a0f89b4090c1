"""`ssa keys`: API keys for scripts and tools."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer
from shared_clients.request_manager import RequestManagerClient
from shared_models.api import ApiKeyBody
from shared_models.enums import CallerKind, Scope

from self_service_cli.answers import checked
from self_service_cli.command import Command, command_of, ending, run
from self_service_cli.paging import CursorOption, LimitOption, show_page

EVERYONE = "everyone"

app = typer.Typer(no_args_is_help=True)


class Kind(StrEnum):
    PERSON = CallerKind.PERSON
    TOOL = CallerKind.TOOL


@app.command("list")
def list_keys(context: typer.Context, limit: LimitOption = 100, cursor: CursorOption = "") -> None:
    """List your API keys. The keys themselves are never shown again."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        page = await api.api_keys(cursor=cursor, limit=limit)
        rows = [
            (
                key.key_id,
                key.name,
                key.kind,
                f"{key.prefix}…",
                " ".join(key.scopes),
                f"{key.created_at:%Y-%m-%d}",
                f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never",
                "revoked" if key.revoked_at else "valid",
            )
            for key in page.items
        ]
        columns = ("id", "name", "kind", "begins with", "scopes", "created", "expires", "state")
        show_page(command.out, page, columns, rows)

    run(context, work)


@app.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="What it may be used for; several are possible.")] = None,
    expires_in_days: Annotated[int | None, typer.Option(min=1, help="Without it the key does not expire.")] = None,
    kind: Annotated[Kind, typer.Option(help="A tool's key acts for others; administrators make it.")] = Kind.PERSON,
    acts_for: Annotated[list[str] | None, typer.Option(help="For a tool: user ids, or `everyone`.")] = None,
) -> None:
    """Make an API key and print it. This is the only time it can be seen: `SSA_TOKEN=$(ssa keys create laptop)`."""
    with ending(command_of(context)):
        body = checked(
            ApiKeyBody,
            name=name,
            kind=kind.value,
            scopes=scope or None,
            acts_for=EVERYONE if acts_for == [EVERYONE] else acts_for or [],
            expires_in_days=expires_in_days,
        )

    async def work(command: Command, api: RequestManagerClient) -> None:
        key = await api.create_api_key(body)
        if command.out.is_json:
            command.out.document(key)
            return
        command.out.text(key.api_key)
        command.out.note(f"Keep it: it is not shown again. Take it back with: ssa keys revoke {key.key_id}")

    run(context, work)


@app.command("revoke")
def revoke_key(
    context: typer.Context, key_id: Annotated[UUID, typer.Argument(metavar="KEY_ID", help="The key's id.")]
) -> None:
    """Make a key useless, within a minute and for good."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        await api.revoke_api_key(key_id)
        if command.out.is_json:
            command.out.document({"key_id": str(key_id), "revoked": True})
        else:
            command.out.note("Revoked.")

    run(context, work, question=f"Revoke key {key_id}?")
