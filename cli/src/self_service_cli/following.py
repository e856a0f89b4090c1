"""Following a request over server-sent events, also across cut connections."""

import json
from collections.abc import Callable
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


type OnEvent = Callable[[ServerSentEvent], None]


async def follow(command: Command, api: RequestManagerClient, request_id: UUID, on_event: OnEvent) -> RequestResult:
    """Give each event but the last to `on_event`; return the result that the last one holds.

    After a cut it goes on behind the last event it saw. Raises UpstreamUnavailable when nothing comes any more."""
    last_id, cuts = "", 0
    while True:
        try:
            async for event in api.events(request_id, last_id):
                if event.id and event.id != last_id:
                    last_id, cuts = event.id, 0
                if event.event in ENDS:
                    return RequestResult.model_validate_json(event.data)
                on_event(event)
        except UpstreamUnavailable:
            if cuts >= MAX_CUTS:
                raise
        # Also a stream that ended politely, without an answer: the server is being restarted.
        if cuts >= MAX_CUTS:
            raise UpstreamUnavailable("the stream of events ends without an answer")
        await command.surroundings.sleep(min(FIRST_PAUSE_S * 2**cuts, MAX_PAUSE_S))
        cuts += 1


def fields_of(event: ServerSentEvent) -> dict[str, object]:
    """The event's data, an empty object if it is none."""
    try:
        data = json.loads(event.data)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
