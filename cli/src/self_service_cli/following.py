"""Following a request over server-sent events, also across cut connections."""

import json
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from shared_clients.request_manager import RequestManagerClient
from shared_clients.stream import ServerSentEvent
from shared_models.errors import UpstreamUnavailable
from shared_models.schemas import RequestResult

from self_service_cli.command import Command

MAX_CUTS = 8
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 8.0
ENDS = ("answer", "error")


class Follower(Protocol):
    """Who is told what happens."""

    def on_event(self, event: ServerSentEvent) -> None: ...

    def on_cut(self) -> None:
        """The connection was cut: the next piece of text begins at the beginning."""


async def follow(command: Command, api: RequestManagerClient, request_id: UUID, follower: Follower) -> RequestResult:
    """Give each event but the last to the follower; return the result that the last one holds.

    After a cut it goes on behind the last event it saw. Raises UpstreamUnavailable when nothing comes any more."""
    last_id, cuts = "", 0
    while True:
        try:
            async for event in api.events(request_id, last_id):
                last_id, cuts = event.id or last_id, 0
                if event.event in ENDS:
                    return RequestResult.model_validate_json(event.data)
                follower.on_event(event)
        except UpstreamUnavailable:
            if cuts >= MAX_CUTS:
                raise
        # Also a stream that ended politely, without an answer: the server is being restarted.
        if cuts >= MAX_CUTS:
            raise UpstreamUnavailable("the stream of events ends without an answer")
        follower.on_cut()
        await command.surroundings.sleep(min(FIRST_PAUSE_S * 2**cuts, MAX_PAUSE_S))
        cuts += 1


@dataclass
class Growing:
    """A text that arrives in pieces. `text` is what the person has seen of it.

    After a cut the server repeats all of it so far as one piece; after a restart of the run it begins anew."""

    text: str = ""
    is_resumed: bool = False

    def add(self, piece: str) -> str:
        """The part of the piece that is new."""
        if self.is_resumed and piece.startswith(self.text):
            piece = piece[len(self.text) :]
        self.is_resumed = False
        self.text += piece
        return piece

    def rest_of(self, whole: str) -> str | None:
        """What is missing of the whole text; None when what was shown is no beginning of it."""
        return whole[len(self.text) :] if whole.startswith(self.text) else None


def fields_of(event: ServerSentEvent) -> dict[str, object]:
    """The event's data, an empty object if it is none."""
    try:
        data = json.loads(event.data)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
