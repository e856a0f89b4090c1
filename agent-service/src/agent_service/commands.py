"""Commands: whole messages that are answered in code, without a model."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from shared_models.commands import Command, command_of
from shared_models.database import Database
from shared_models.enums import RequestStatus
from shared_models.schemas import AgentRef, ErrorInfo, NormalizedRequest, Usage

from agent_service.domain.answers import CANCELLED, Reply
from agent_service.domain.confirmations import State, yes_or_no
from agent_service.run import Run
from agent_service.store import intake, sessions

HELP = """I am your IT self-service. Tell me in your own words what you need, for example *I need a new laptop*.

These words are understood at any time:
- **help**: this text
- **status**: what I am working on for you
- **cancel**: stop what I am working on
- **new**: forget this conversation and start a new one
- **tokens**: how much of the AI model this conversation has used"""
NEW = "Done. This conversation is closed; your next message starts a new one."
NOTHING_RUNS = "I am not working on anything for you right now."
NOTHING_TO_CANCEL = "There was nothing to stop."
DROPPED = "I have dropped the open question; nothing will be done."

type EndRun = Callable[[NormalizedRequest, RequestStatus, ErrorInfo], Awaitable[bool]]
"""Ends another run of the session, wherever it is; True when this end came first."""


@dataclass(frozen=True)
class Commands:
    database: Database
    end_run: EndRun
    now: Callable[[], datetime]

    async def answer(self, command: Command, run: Run, agent: AgentRef) -> Reply:
        """Carry the command out. Safe to repeat."""
        match command:
            case Command.HELP:
                text = HELP
            case Command.NEW:
                text = NEW
            case Command.TOKENS:
                text = tokens_text(run.begun.usage)
            case Command.STATUS:
                text = await self._status(run)
            case Command.CANCEL:
                text = await self._cancel(run)
        return Reply(text, agent)

    async def _status(self, run: Run) -> str:
        others = await self._others(run)
        lines = []
        for request, started_at in others:
            title = " ".join(request.content.split())[:60]
            if started_at is None:
                lines.append(f"- waiting: {title}")
            else:
                lines.append(f"- since {max(0, int((self.now() - started_at).total_seconds()))} s: {title}")
        asked = run.begun.asked
        if asked and asked.state is State.OPEN and self.now() < asked.expires_at:
            lines.append(f"- waiting for your yes or no: {asked.effect}")
        return "I am working on this:\n" + "\n".join(lines) if lines else NOTHING_RUNS

    async def _cancel(self, run: Run) -> str:
        """Ends what came before this message, also what has not arrived yet, and drops an open question."""
        await sessions.cancel_before(self.database, run.begun.session_id, run.begun.seq)
        stopped = 0
        for request, _ in await self._others(run):
            if request.sequence < run.request.sequence:
                stopped += await self.end_run(request, RequestStatus.CANCELLED, CANCELLED)
        asked = run.begun.asked
        is_dropped = asked is not None and asked.state is State.OPEN and self.now() < asked.expires_at
        parts = []
        if stopped:
            parts.append("Stopped." if stopped == 1 else f"Stopped {stopped} requests.")
        if is_dropped:
            parts.append(DROPPED)
        return " ".join(parts) or NOTHING_TO_CANCEL

    async def _others(self, run: Run) -> list[tuple[NormalizedRequest, datetime | None]]:
        """The session's other open requests that are no commands beside the lane, oldest first."""
        rows = await intake.open_of_session(self.database, run.request.person.user_id, run.begun.session_id)
        requests = [(NormalizedRequest.read(row["request"]), row["started_at"]) for row in rows]
        return [pair for pair in requests if pair[0].request_id != run.id and not overtakes(pair[0])]


def command_in(request: NormalizedRequest) -> Command | None:
    """The command that a request is; a press on a confirmation's button is none, whatever its text."""
    return None if request.confirm else command_of(request.content)


def overtakes(request: NormalizedRequest) -> bool:
    """True for a command that is answered at once, beside the running turn."""
    command = command_in(request)
    return command is not None and not command.waits_its_turn


def tokens_text(usage: Usage) -> str:
    return (
        f"This conversation has used {usage.input_tokens + usage.output_tokens:,} tokens so far "
        f"({usage.input_tokens:,} read, {usage.output_tokens:,} written) in {usage.model_calls:,} calls of the AI model."
    )


def goes_to_model(request: NormalizedRequest) -> bool:
    """True when the first thing to do is certainly a model turn: no command, and neither a yes nor a no."""
    return command_in(request) is None and request.confirm is None and yes_or_no(request.content) is None
