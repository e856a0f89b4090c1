"""`ssa feedback`: was the answer of any use?"""

from enum import StrEnum
from typing import Annotated

import typer
from shared_clients.request_manager import RequestManagerClient
from shared_models.api import FeedbackBody

from self_service_cli.answers import checked
from self_service_cli.command import Command, command_of, ending, run
from self_service_cli.requests import RequestArgument


class Rating(StrEnum):
    UP = "up"
    DOWN = "down"


def feedback(
    context: typer.Context,
    request_id: RequestArgument,
    rating: Annotated[Rating, typer.Argument(help="Did it help?")],
    reason: Annotated[str, typer.Option(help="Why, in your words.")] = "",
) -> None:
    """Rate an answer. The latest rating counts."""
    with ending(command_of(context)):
        body = checked(FeedbackBody, rating=rating.value, reason=reason)

    async def work(command: Command, api: RequestManagerClient) -> None:
        view = await api.feedback(request_id, body)
        if command.out.is_json:
            command.out.document(view)
        else:
            command.out.note("Thank you.")

    run(context, work)
