"""`ssa requests`: what was asked, and what became of it."""

from typing import Annotated
from uuid import UUID

import typer
from shared_clients.request_manager import RequestManagerClient
from shared_models.api import RequestAccepted, RequestDetail
from shared_models.enums import RequestStatus

from self_service_cli.answers import (
    DEFAULT_WAIT_S,
    going_on,
    show_accepted,
    show_rest,
    show_result,
    wait_for_result,
)
from self_service_cli.ask import NoWaitOption, WaitOption
from self_service_cli.command import Command, run
from self_service_cli.following import follow
from self_service_cli.live import LiveAnswer
from self_service_cli.output import Output
from self_service_cli.paging import CursorOption, LimitOption, show_page

app = typer.Typer(no_args_is_help=True)

RequestArgument = Annotated[UUID, typer.Argument(metavar="REQUEST_ID", help="The request's id.")]


@app.command("list")
def list_requests(
    context: typer.Context,
    status: Annotated[RequestStatus | None, typer.Option(help="Only those in this state.")] = None,
    session: Annotated[UUID | None, typer.Option(help="Only those of this session.")] = None,
    limit: LimitOption = 20,
    cursor: CursorOption = "",
) -> None:
    """List your requests, the newest first."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        page = await api.requests(cursor=cursor, limit=limit, status=status or "", session_id=session)
        rows = [
            (item.request_id, item.status, f"{item.created_at:%Y-%m-%d %H:%M}", item.agent, item.excerpt)
            for item in page.items
        ]
        show_page(command.out, page, ("request", "status", "created (UTC)", "agent", "question"), rows)

    run(context, work)


@app.command("get")
def get_request(context: typer.Context, request_id: RequestArgument) -> None:
    """Show one request: the question, the answer, the deliveries."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        detail = await api.request(request_id)
        if command.out.is_json:
            command.out.document(detail)
        else:
            show_detail(command.out, detail)

    run(context, work)


def show_detail(out: Output, detail: RequestDetail) -> None:
    deliveries = ", ".join(f"{each.integration} {each.status}" for each in detail.deliveries)
    out.facts(
        [
            ("request", detail.request_id),
            ("session", detail.session_id),
            ("status", f"{detail.status} (cancel asked for)" if detail.cancelling else detail.status),
            ("created", detail.created_at.isoformat()),
            ("completed", detail.completed_at.isoformat() if detail.completed_at else None),
            ("entry", detail.integration_type),
            ("agent", detail.response.agent.name if detail.response else None),
            ("tools", ", ".join(tool.name for tool in detail.response.tools) if detail.response else None),
            ("retry of", detail.retry_of),
            ("deliveries", deliveries),
            ("feedback", f"{detail.feedback.rating} {detail.feedback.reason}" if detail.feedback else None),
            ("error", f"{detail.error.message} ({detail.error.code})" if detail.error else None),
            ("question", detail.content),
        ]
    )
    if detail.response:
        out.text("")
        out.markdown(detail.response.content)
        show_rest(out, detail.response)


@app.command("watch")
def watch_request(context: typer.Context, request_id: RequestArgument) -> None:
    """Show the answer of a request while it is made. Ctrl-C leaves; the request goes on."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        live = LiveAnswer(command.out)
        with going_on(command.out, request_id):
            result = await follow(command, api, request_id, live.on_event)
        live.finish(result)

    run(context, work)


@app.command("cancel")
def cancel_request(context: typer.Context, request_id: RequestArgument) -> None:
    """Ask for the end of a running request."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        state = await api.cancel(request_id)
        if command.out.is_json:
            command.out.document(state)
        else:
            command.out.text("cancelling" if state.cancelling else state.status)

    run(context, work)


@app.command("retry")
def retry_request(
    context: typer.Context,
    request_id: RequestArgument,
    wait: WaitOption = DEFAULT_WAIT_S,
    no_wait: NoWaitOption = False,
) -> None:
    """Ask the question of an ended request again, as a new request."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        reply = await api.retry(request_id, wait_s=0)
        if isinstance(reply, RequestAccepted):
            if no_wait:
                show_accepted(command.out, reply)
                return
            reply = await wait_for_result(command, api, reply.request_id, wait)
        show_result(command.out, reply)

    run(context, work)
