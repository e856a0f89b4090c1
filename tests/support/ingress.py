"""The broker's door in end-to-end tests: what came in at it, and whether that is what the mode promises."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from local_stack.broker.app import BrokerApp
from local_stack.broker.broker import Broker
from shared_models.events import EventType
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from tests.support.database import superuser
from tests.support.modes import Mode
from tests.support.waiting import eventually

ENDED = "select request_id::text, status from request_logs where ended_at is not null"
DELIVERED = (
    "select request_id::text, status from delivery_logs where status in ('delivered', 'failed') and kind <> 'note'"
)
OUTCOMES = {"delivered": EventType.DELIVERY_SUCCEEDED, "failed": EventType.DELIVERY_FAILED}
REFUSALS = ("dead_letters", "dropped", "copies_refused")

type Sighting = tuple[str, str]


@dataclass
class Ingress:
    """`seen`: type and request id of everything that was posted, for whatever reason. `app` None: no broker is behind it."""

    mode: Mode
    app: BrokerApp | None
    seen: set[Sighting] = field(default_factory=set)
    count: int = 0

    @property
    def broker(self) -> Broker | None:
        return self.app.state.broker if self.app is not None else None

    @property
    def is_idle(self) -> bool:
        return self.broker is None or self.broker.is_idle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            headers = dict(scope["headers"])
            self.count += 1
            self.seen.add((headers.get(b"ce-type", b"").decode(), headers.get(b"ce-requestid", b"").decode()))
        await (self.app or Starlette())(scope, receive, send)

    async def check(self, database_url: str) -> None:
        """Raises AssertionError: with eventing, unless all that the database tells of went through here; else if anything did."""
        if self.mode is Mode.DIRECT:
            assert self.seen == set(), "in direct mode nothing goes to a broker"
            return
        never: list[Sighting] = []
        async with superuser(database_url) as connection:

            async def is_complete() -> bool:
                ends, deliveries = await connection.fetch(ENDED), await connection.fetch(DELIVERED)
                never[:] = sorted(promised(ends, deliveries) - self.seen)
                return not never

            try:
                await eventually(is_complete)
            except AssertionError:
                raise AssertionError(f"never seen at the broker: {never}") from None
        assert self.broker is not None
        refused = {name: count for name, count in self.broker.counts.items() if name in REFUSALS}
        assert not any(refused.values()), f"a service has refused events: {refused}"
        if self.mode is Mode.TWICE and self.seen:
            assert self.broker.counts["copies"], "this broker sends everything twice"


def promised(ends: Iterable[Sighting], deliveries: Iterable[Sighting]) -> set[Sighting]:
    """The events that must have been sent for these (request id, status) of requests and of deliveries.

    A request that was cancelled or expired may never have been handed over."""
    found: set[Sighting] = set()
    for request_id, status in ends:
        found.add((EventType.RESPONSE_READY, request_id))
        if status == "completed":
            found.add((EventType.REQUEST_CREATED, request_id))
    return found | {(OUTCOMES[status], request_id) for request_id, status in deliveries}
