"""`ssa deliveries`: where answers went, and whether they arrived."""

from typing import Annotated
from uuid import UUID

import typer
from pydantic import JsonValue
from shared_clients.request_manager import RequestManagerClient

from self_service_cli.command import Command, run
from self_service_cli.output import Output
from self_service_cli.paging import CursorOption, LimitOption
from self_service_cli.rows import cells, items_of, next_cursor_of

app = typer.Typer(no_args_is_help=True)

DeliveryArgument = Annotated[UUID, typer.Argument(metavar="DELIVERY_ID", help="The delivery's id.")]
DELIVERY_COLUMNS = ("delivery", "request", "by", "to", "status", "tries", "created (UTC)", "reason")
DELIVERY_FIELDS = ("delivery_id", "request_id", "integration", "target", "status", "attempts", "created_at", "reason")
ATTEMPT_COLUMNS = ("part", "try", "outcome", "code", "started (UTC)", "ended (UTC)", "detail")
ATTEMPT_FIELDS = ("part", "number", "outcome", "code", "started_at", "ended_at", "detail")


@app.command("list")
def list_deliveries(
    context: typer.Context,
    user: Annotated[UUID | None, typer.Option(help="Operators: the deliveries of this person.")] = None,
    limit: LimitOption = 20,
    cursor: CursorOption = "",
) -> None:
    """List the deliveries of your answers, the newest first."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        page = await api.deliveries(str(user or "me"), cursor=cursor, limit=limit)
        show(command.out, page, DELIVERY_COLUMNS, DELIVERY_FIELDS)

    run(context, work)


@app.command("attempts")
def list_attempts(context: typer.Context, delivery_id: DeliveryArgument) -> None:
    """List each try of one delivery."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        show(command.out, await api.delivery_attempts(delivery_id), ATTEMPT_COLUMNS, ATTEMPT_FIELDS)

    run(context, work)


@app.command("replay")
def replay_delivery(context: typer.Context, delivery_id: DeliveryArgument) -> None:
    """Send an ended delivery once more."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        found = await api.replay_delivery(delivery_id)
        if command.out.is_json:
            command.out.document(found)
        else:
            command.out.note("It is sent again.")

    run(context, work, question=f"Send delivery {delivery_id} once more? The receiver may have had it before.")


def show(out: Output, page: JsonValue, columns: tuple[str, ...], fields: tuple[str, ...]) -> None:
    if out.is_json:
        out.document(page)
        return
    out.table(columns, [cells(item, *fields) for item in items_of(page)])
    if next_cursor_of(page):
        out.note(f"There are more: add --cursor {next_cursor_of(page)}")
