"""Reading server-sent events. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
from shared_models.errors import UpstreamUnavailable

MAX_EVENT_CHARS = 4 * 1024 * 1024


@dataclass(frozen=True)
class ServerSentEvent:
    event: str
    data: str
    id: str = ""

    def encode(self) -> bytes:
        """The event on the wire."""
        lines = [f"event: {self.event}"]
        if self.id:
            lines.append(f"id: {self.id}")
        lines += [f"data: {line}" for line in self.data.split("\n")]
        return ("\n".join(lines) + "\n\n").encode()


HEARTBEAT = b": heartbeat\n\n"


async def read_events(reply: httpx.Response) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of a stream; comments (heartbeats) are skipped. Raises UpstreamUnavailable when it is cut."""
    event, event_id, size = "message", "", 0
    data: list[str] = []
    try:
        async for line in reply.aiter_lines():
            size += len(line)
            if size > MAX_EVENT_CHARS:
                raise UpstreamUnavailable("an event of the stream is too large")
            if line == "":
                if data:
                    yield ServerSentEvent(event, "\n".join(data), event_id)
                event, data, size = "message", [], 0
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                event = value
            elif name == "data":
                data.append(value)
            elif name == "id":
                event_id = value
    except httpx.TransportError as exc:
        raise UpstreamUnavailable(f"the stream was cut: {type(exc).__name__}") from exc
