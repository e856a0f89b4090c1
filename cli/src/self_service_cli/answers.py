"""Waiting for an answer, and showing it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from uuid import UUID

from pydantic import BaseModel, ValidationError
from shared_clients.request_manager import RequestManagerClient
from shared_models.api import RequestAccepted
from shared_models.enums import RequestStatus
from shared_models.errors import UpstreamUnavailable
from shared_models.schemas import Citation, RequestResult, ResponseContent

from self_service_cli.command import Command
from self_service_cli.failures import ExitCode, Failure, usage
from self_service_cli.output import Output

LONG_POLL_S = 25
DEFAULT_WAIT_S = 120


def checked[T: BaseModel](kind: type[T], /, **values: object) -> T:
    """The body of a call. Raises Failure (usage) naming the field that is not right."""
    try:
        return kind.model_validate(values)
    except ValidationError as exc:
        first = exc.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise usage(f"{field}: {message}." if field else f"{message}.") from None


async def wait_for_result(
    command: Command, api: RequestManagerClient, request_id: UUID, wait_s: float
) -> RequestResult:
    """Ask by long poll until the request has ended. Raises Failure (timeout) with the way to go on."""
    until = asyncio.get_running_loop().time() + wait_s
    with going_on(command.out, request_id), command.out.working("Waiting for the answer"):
        while True:
            left = until - asyncio.get_running_loop().time()
            result = await api.result(request_id, wait_s=max(0, min(LONG_POLL_S, ceil(left))))
            if result is not None:
                return result
            if left <= 0:
                raise still_running(request_id, wait_s)


def still_running(request_id: UUID, wait_s: float) -> Failure:
    return Failure(
        f"No answer within {wait_s:g} s; it is still being worked on.",
        ExitCode.TIMEOUT,
        code="still_running",
        hint=f"Go on with: ssa requests watch {request_id}",
        request_id=str(request_id),
    )


@contextmanager
def going_on(out: Output, request_id: UUID) -> Iterator[None]:
    """When we stop waiting (Ctrl-C, a cut connection), say that the request goes on and how to see its end."""
    try:
        yield
    except (asyncio.CancelledError, UpstreamUnavailable):
        out.note(f"\nThe request goes on. See its answer with: ssa requests watch {request_id}")
        raise


def show_accepted(out: Output, accepted: RequestAccepted) -> None:
    if out.is_json:
        out.document(accepted)
        return
    out.facts([("request", accepted.request_id), ("session", accepted.session_id), ("status", accepted.status)])
    out.note(f"See the answer with: ssa requests watch {accepted.request_id}")


def show_result(out: Output, result: RequestResult) -> None:
    """The answer on stdout. Raises Failure when the request ended without one, so that the exit code tells."""
    if result.status is not RequestStatus.COMPLETED or result.response is None:
        raise ended_without_answer(result)
    if out.is_json:
        out.document(result)
        return
    out.markdown(result.response.content)
    show_rest(out, result.response)
    out.note(f"(session {result.session_id})")


def show_rest(out: Output, response: ResponseContent) -> None:
    """What belongs to an answer beside its text: sources, the question that waits, how to go on."""
    for line in source_lines(response.citations):
        out.text(line)
    if response.confirmation is not None:
        if response.confirmation.effect not in response.content:
            out.text(response.confirmation.effect)
        out.note(f"This waits for your yes or no until {response.confirmation.expires_at.astimezone():%H:%M}.")


def source_lines(citations: list[Citation]) -> list[str]:
    named = dict.fromkeys(f"{each.document}: {each.section}" if each.section else each.document for each in citations)
    return ["", "Sources:", *(f"- {name}" for name in named)] if named else []


def ended_without_answer(result: RequestResult) -> Failure:
    """The reason in words; `--json` still prints the whole result."""
    error = result.error
    message = error.message if error else f"The request ended {result.status} without an answer."
    hint = f"Try again with: ssa requests retry {result.request_id}" if error and error.retryable else ""
    code = error.code if error else result.status.value
    return Failure(message, code=code, hint=hint, request_id=str(result.request_id), document=result)
