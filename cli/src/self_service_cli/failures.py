"""How a command ends when it does not succeed: the exit code, one line in words, a hint."""

from enum import IntEnum

import httpx
from pydantic import BaseModel
from shared_models.errors import Refusal, ServiceError, UpstreamRejected, UpstreamUnavailable


class ExitCode(IntEnum):
    """What a script can rely on."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    AUTH = 4
    CONFLICT = 5
    TIMEOUT = 6
    INTERRUPTED = 130


BY_STATUS = {
    401: ExitCode.AUTH,
    403: ExitCode.AUTH,
    404: ExitCode.NOT_FOUND,
    408: ExitCode.TIMEOUT,
    409: ExitCode.CONFLICT,
    410: ExitCode.NOT_FOUND,
    504: ExitCode.TIMEOUT,
}
UNREACHABLE = "unreachable"
BY_CODE = {"idempotency_conflict": ExitCode.CONFLICT}


class Failure(Exception):
    """Ends the command. `document` is what `--json` prints instead of the error itself."""

    def __init__(
        self,
        message: str,
        exit_code: ExitCode = ExitCode.ERROR,
        *,
        code: str = "error",
        hint: str = "",
        request_id: str = "",
        document: BaseModel | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.code = code
        self.hint = hint
        self.request_id = request_id
        self.document = document


def usage(message: str, hint: str = "") -> Failure:
    return Failure(message, ExitCode.USAGE, code="usage", hint=hint)


def failure_of(error: ServiceError, url: str) -> Failure:
    """What a failed call to the server at `url` means to the person."""
    if isinstance(error, UpstreamRejected | UpstreamUnavailable) and error.refusal is not None:
        return _refused(error.refusal, error.retry_after_s)
    if isinstance(error.__cause__, httpx.TransportError):
        return no_answer(error.__cause__, url, "Start it with `make up`, or name another server with --url or SSA_URL.")
    return Failure(str(error), code=error.code, hint=error.hint)


def no_answer(error: httpx.TransportError, url: str, hint: str) -> Failure:
    """`hint`: what to do when nobody is there."""
    # httpx-aiohttp names every failed connection a ConnectTimeout, also one that was refused at once.
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return Failure(
            f"{url} did not answer in time.", ExitCode.TIMEOUT, code="timeout", hint="Try again in a moment."
        )
    return Failure(f"{url} cannot be reached.", code=UNREACHABLE, hint=hint)


def _refused(refusal: Refusal, retry_after_s: float | None) -> Failure:
    exit_code = BY_CODE.get(refusal.code, BY_STATUS.get(refusal.status, ExitCode.ERROR))
    hint = refusal.hint
    if refusal.status == 401:
        hint = "Sign in with `ssa login`, or set SSA_TOKEN to a valid token or API key."
    elif retry_after_s is not None:
        hint = f"Try again in {retry_after_s:.0f} s."
    return Failure(
        refusal.message or f"The server answered with status {refusal.status}.",
        exit_code,
        code=refusal.code or f"http_{refusal.status}",
        hint=hint,
        request_id=refusal.request_id,
    )
