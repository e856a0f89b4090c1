"""`ssa sessions`: your conversations."""

from typing import Annotated
from uuid import UUID

import typer
from shared_clients.request_manager import RequestManagerClient
from shared_models.api import TitleBody
from shared_models.schemas import SessionView

from self_service_cli.answers import checked
from self_service_cli.command import Command, run
from self_service_cli.output import Output
from self_service_cli.paging import CursorOption, LimitOption, show_page

app = typer.Typer(no_args_is_help=True)

SessionArgument = Annotated[UUID, typer.Argument(metavar="SESSION_ID", help="The session's id.")]


@app.command("list")
def list_sessions(context: typer.Context, limit: LimitOption = 20, cursor: CursorOption = "") -> None:
    """List your sessions, the newest first."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        page = await api.sessions(cursor=cursor, limit=limit)
        rows = [
            (each.session_id, each.status, each.request_count, f"{each.created_at:%Y-%m-%d %H:%M}", each.title)
            for each in page.items
        ]
        show_page(command.out, page, ("session", "status", "requests", "created (UTC)", "title"), rows)

    run(context, work)


@app.command("show")
def show_session(context: typer.Context, session_id: SessionArgument) -> None:
    """Show one session."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        show_view(command.out, await api.session(session_id))

    run(context, work)


@app.command("messages")
def show_messages(
    context: typer.Context, session_id: SessionArgument, limit: LimitOption = 50, cursor: CursorOption = ""
) -> None:
    """Read the messages of a session."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        page = await api.messages(session_id, cursor=cursor, limit=limit)
        if command.out.is_json:
            command.out.document(page)
            return
        for message in page.items:
            who = "you" if message.role == "user" else message.agent or "assistant"
            command.out.text(f"{who}, {message.created_at:%Y-%m-%d %H:%M}:")
            command.out.markdown(message.content)
            command.out.text("")
        if page.next_cursor:
            command.out.note(f"There are more: add --cursor {page.next_cursor}")

    run(context, work)


@app.command("rename")
def rename_session(
    context: typer.Context, session_id: SessionArgument, title: Annotated[str, typer.Argument(help="The new title.")]
) -> None:
    """Give a session a title."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        checked(TitleBody, title=title)
        show_view(command.out, await api.rename_session(session_id, title))

    run(context, work)


@app.command("close")
def close_session(context: typer.Context, session_id: SessionArgument) -> None:
    """Close a session for good: what waits in it ends, and nothing more can be asked in it."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        show_view(command.out, await api.close_session(session_id))

    run(context, work, question=f"Close session {session_id}?")


def show_view(out: Output, view: SessionView) -> None:
    if out.is_json:
        out.document(view)
        return
    out.facts(
        [
            ("session", view.session_id),
            ("title", view.title),
            ("status", view.status),
            ("entry", view.integration_type),
            ("agent", f"{view.agent} {view.agent_version or ''}" if view.agent else None),
            ("requests", view.request_count),
            ("created", view.created_at.isoformat()),
            ("last request", view.last_request_at.isoformat() if view.last_request_at else None),
            ("expires", view.expires_at.isoformat()),
            ("model calls", view.usage.model_calls),
            ("tokens", f"{view.usage.input_tokens} in, {view.usage.output_tokens} out"),
        ]
    )
