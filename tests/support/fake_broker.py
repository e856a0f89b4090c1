"""A broker that a test commands: what it answers, and what it has taken. It delivers nothing by itself."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from shared_models.enums import ServiceName
from shared_models.events import CloudEvent, EventType, parse_http
from shared_models.tokens import ServiceTokens

BROKER_URL = "http://broker.test/ns/default"


def taken(_event: CloudEvent) -> httpx.Response:
    return httpx.Response(202)


@dataclass
class FakeBroker:
    """`is_away`: nobody listens. `answer` decides about each event; `events` are those that it answered with a 2xx.

    `token_key`: the sender's service token for the broker is checked."""

    token_key: str
    is_away: bool = False
    answer: Callable[[CloudEvent], httpx.Response] = taken
    events: list[CloudEvent] = field(default_factory=list)
    tries: int = 0

    async def handle(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == BROKER_URL
        self.tries += 1
        if self.is_away:
            raise httpx.ConnectError("nobody listens", request=request)
        token = request.headers["authorization"].removeprefix("Bearer ")
        ServiceTokens(self.token_key, ServiceName.BROKER).verify(token)
        event = parse_http(dict(request.headers), request.content)
        reply = self.answer(event)
        if reply.is_success:
            self.events.append(event)
        return reply

    def of(self, kind: EventType) -> list[CloudEvent]:
        return [event for event in self.events if event.type == kind]

    def orders(self, kind: EventType) -> dict[str, list[int]]:
        """By session: the sequence numbers of the events of this type, in the order in which they came."""
        found: dict[str, list[int]] = defaultdict(list)
        for event in self.of(kind):
            found[event.extensions["partitionkey"]].append(int(event.extensions["sequence"]))
        return dict(found)
