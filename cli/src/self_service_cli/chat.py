"""`ssa chat`: a conversation, line by line."""

import asyncio
import sys
from typing import Annotated
from uuid import UUID

import httpx
import typer
from shared_clients.request_manager import RequestManagerClient
from shared_models.api import CliRequest, RequestAccepted
from shared_models.errors import ServiceError, SessionEnded, UpstreamRejected

from self_service_cli.answers import checked, going_on
from self_service_cli.command import Command, client_for, command_of, ending
from self_service_cli.failures import ExitCode, Failure, failure_of, usage
from self_service_cli.following import follow
from self_service_cli.live import LiveAnswer
from self_service_cli.stdin import read_line

GOODBYES = ("exit", "quit", "/exit", "/quit")
SESSION_ENDED = SessionEnded.code
WELCOME = "Ask a question. `help` tells what you can say, `new` begins anew, Ctrl-D ends."


class Conversation:
    """Turns of one session. A session that has ended is followed by a new one."""

    def __init__(self, command: Command, api: RequestManagerClient, session_id: UUID | None) -> None:
        self._command = command
        self._api = api
        self._given = session_id
        self.session_id = session_id

    async def turn(self, text: str) -> None:
        """Ask, show the answer while it is made. Raises Failure when there is none."""
        try:
            await self._turn(text)
        except UpstreamRejected as error:
            if error.upstream_code != SESSION_ENDED or self.session_id in (None, self._given):
                raise
            self.session_id = None
            await self._turn(text)

    async def _turn(self, text: str) -> None:
        body = checked(CliRequest, content=text, session_id=self.session_id, stream=True)
        reply = await self._api.create_request("cli", body, wait_s=0)
        self.session_id = reply.session_id
        live = LiveAnswer(self._command.out)
        if isinstance(reply, RequestAccepted):
            with going_on(self._command.out, reply.request_id):
                reply = await follow(self._command, self._api, reply.request_id, live.on_event)
        live.finish(reply)


def chat(
    context: typer.Context,
    session: Annotated[UUID | None, typer.Option(help="Go on in this session.")] = None,
) -> None:
    """Talk with the agents; answers appear while they are written.

    Without a terminal it reads one question per line from stdin; with --json it prints one JSON document per line.
    Ctrl-C leaves: what was asked goes on, and `ssa requests watch ID` shows its answer."""
    command = command_of(context)
    command.out.is_lines = True
    with ending(command), asyncio.Runner() as runner:
        if sys.stdin.isatty() and not command.may_ask:
            raise usage("A chat asks for input, and --no-input forbids it.", "Pipe the questions in, or use `ssa ask`.")
        http = command.surroundings.create_http()
        try:
            talk(command, runner, http, session)
        finally:
            runner.run(http.aclose())


def talk(command: Command, runner: asyncio.Runner, http: httpx.AsyncClient, session: UUID | None) -> None:
    """Read and answer until the input ends. Without a person, what goes wrong ends it."""
    conversation = Conversation(command, runner.run(client_for(command, http)), session)
    is_person = sys.stdin.isatty()
    if is_person:
        command.out.note(WELCOME)
    try:
        while (line := read_line("\nyou> ")) is not None and line.strip().lower() not in GOODBYES:
            if line.strip():
                say(command, runner, conversation, line, is_person=is_person)
    finally:
        if conversation.session_id is not None:
            command.out.note(f"Go on with: ssa chat --session {conversation.session_id}")


def say(command: Command, runner: asyncio.Runner, conversation: Conversation, line: str, *, is_person: bool) -> None:
    """One turn. What goes wrong is told to a person, who may try again; a script is ended by it."""
    try:
        runner.run(conversation.turn(line))
    except (Failure, ServiceError) as error:
        failure = error if isinstance(error, Failure) else failure_of(error, command.connection().url)
        if not is_person or failure.exit_code is ExitCode.AUTH:
            raise
        command.out.failure(failure)
