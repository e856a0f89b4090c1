"""What every command has: the global options, the output, its surroundings, and one way to run and to fail."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import typer
from pydantic import ValidationError
from shared_clients.http import ServiceClient, create_http, quiet_retries
from shared_clients.request_manager import RequestManagerClient
from shared_models.errors import ServiceError

from self_service_cli.cleaning import clean
from self_service_cli.connection import Connection, find_connection
from self_service_cli.device_flow import DeviceFlow, Now, Sleep
from self_service_cli.failures import ExitCode, Failure, failure_of, usage
from self_service_cli.keyring_store import KeyringStore, LoginStore
from self_service_cli.output import Output

type RunProgram = Callable[[Sequence[str], float], subprocess.CompletedProcess[str]]

NOBODY = "There is no token for {url}."
SIGN_IN_HINT = "`make up` writes one for this machine; else `ssa login`, or set SSA_TOKEN to a token or an API key."


def run_program(arguments: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a program of our own to its end. Raises subprocess.TimeoutExpired."""
    return subprocess.run(arguments, capture_output=True, text=True, timeout=timeout_s, check=False)  # noqa: S603


@dataclass(frozen=True)
class Surroundings:
    """What a command gets from outside; tests give another one as `obj`."""

    create_http: Callable[[], httpx.AsyncClient] = create_http
    logins: LoginStore = field(default_factory=KeyringStore)
    sleep: Sleep = asyncio.sleep
    now: Now = time.time
    run_program: RunProgram = run_program
    folders: tuple[Path, ...] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)


@dataclass(frozen=True)
class Command:
    """One call of `ssa`. `url` and `token` are the flags, empty if not given."""

    surroundings: Surroundings
    out: Output
    url: str = ""
    token: str = field(default="", repr=False)
    may_ask: bool = True
    yes: bool = False

    def connection(self) -> Connection:
        """Raises Failure (usage) for an address or a token that is none."""
        around = self.surroundings
        found = find_connection(
            url=self.url, token=self.token, environ=around.environ, folders=around.folders, logins=around.logins
        )
        self.out.hide(found.token)
        if found.login:
            self.out.hide(found.login.token)
            self.out.hide(found.login.refresh_token)
        return found

    def device_flow(self, http: httpx.AsyncClient) -> DeviceFlow:
        return DeviceFlow(http, self.surroundings.sleep, self.surroundings.now)

    def confirm(self, question: str) -> None:
        """Go on after a yes. Raises Failure: declined, or nobody there to ask."""
        if self.yes:
            return
        if not self.may_ask or not sys.stdin.isatty():
            raise usage("This needs your yes, and nobody can be asked here.", "Add --yes.")
        if not typer.confirm(clean(question), err=True):
            raise Failure("Nothing was done.", code="declined")


type Work = Callable[[Command, RequestManagerClient], Awaitable[None]]


def command_of(context: typer.Context) -> Command:
    command = context.obj
    assert isinstance(command, Command)
    return command


def run(context: typer.Context, work: Work, *, question: str = "") -> None:
    """Do the work with a signed-in client; end the program with the exit code of what went wrong.

    `question`: what the person must say yes to first; asked here, as a prompt inside the event loop ignores Ctrl-C."""
    command = command_of(context)

    async def signed_in() -> None:
        async with command.surroundings.create_http() as http:
            await work(command, await client_for(command, http))

    with ending(command):
        if question:
            command.confirm(question)
        asyncio.run(signed_in())


async def client_for(command: Command, http: httpx.AsyncClient) -> RequestManagerClient:
    """A client with the person's token; a saved login is renewed first. Raises Failure (auth) when there is none."""
    found = command.connection()
    token = found.token
    if found.login is not None:
        login = await command.device_flow(http).renew(found.login)
        command.out.hide(login.token)
        command.out.hide(login.refresh_token)
        if login != found.login:
            command.surroundings.logins.save(found.url, login)
        token = login.token
    if not token:
        raise Failure(NOBODY.format(url=found.url), ExitCode.AUTH, code="no_token", hint=SIGN_IN_HINT)
    return RequestManagerClient(ServiceClient(http, found.url, lambda: token))


@contextmanager
def ending(command: Command) -> Iterator[None]:
    """Turn what goes wrong inside into words on stderr and an exit code."""
    try:
        with quiet_retries():
            yield
    except Failure as failure:
        raise _end(command, failure) from None
    except ServiceError as error:
        raise _end(command, failure_of(error, command.connection().url)) from None
    except ValidationError:
        hint = "Its version may not fit this one: `ssa doctor` shows both."
        raise _end(command, Failure("The server's answer could not be read.", code="bad_answer", hint=hint)) from None
    except (KeyboardInterrupt, typer.Abort):
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _end(command: Command, failure: Failure) -> typer.Exit:
    command.out.failure(failure)
    return typer.Exit(failure.exit_code)
