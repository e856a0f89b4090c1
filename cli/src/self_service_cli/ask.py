"""`ssa ask`: one question, one answer."""

from typing import Annotated
from uuid import UUID

import typer
from shared_clients.request_manager import RequestManagerClient
from shared_models.api import CliRequest, RequestAccepted
from shared_models.enums import DeliveryPolicy

from self_service_cli.answers import DEFAULT_WAIT_S, checked, show_accepted, show_result, wait_for_result
from self_service_cli.command import Command, command_of, ending, run
from self_service_cli.stdin import read_text

WaitOption = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the answer.")]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Print the ids at once and do not wait.")]
DeliverOption = Annotated[
    list[str] | None,
    typer.Option("--deliver-to", help="Also deliver the answer there: preferred, email, slack, sms, webhook, test."),
]


def ask(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Your question; `-` reads it from stdin.")],
    session: Annotated[UUID | None, typer.Option(help="Go on in this session.")] = None,
    deliver_to: DeliverOption = None,
    all_targets: Annotated[bool, typer.Option(help="Deliver to all of them, not to the first that works.")] = False,
    wait: WaitOption = DEFAULT_WAIT_S,
    no_wait: NoWaitOption = False,
) -> None:
    """Ask a question and print the answer.

    The answer goes to stdout, so that it can be piped. Asked for your yes or no, answer in the same session:
    `ssa ask --session ID yes`."""

    with ending(command_of(context)):
        body = checked(
            CliRequest,
            content=read_text() if text == "-" else text,
            session_id=session,
            deliver_to=deliver_to or None,
            delivery_policy=DeliveryPolicy.ALL if all_targets else DeliveryPolicy.FIRST_SUCCESS,
        )

    async def work(command: Command, api: RequestManagerClient) -> None:
        reply = await api.create_request("cli", body, wait_s=0)
        if isinstance(reply, RequestAccepted):
            if no_wait:
                show_accepted(command.out, reply)
                return
            reply = await wait_for_result(command, api, reply.request_id, wait)
        show_result(command.out, reply)
        if deliver_to:
            command.out.note("See whether it arrived with: ssa deliveries list")

    run(context, work)
