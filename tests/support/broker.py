"""The local broker with triggers of a test's own, and receivers that answer as they are told."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from local_stack.broker.app import BrokerApp, create_app
from local_stack.broker.broker import Broker
from local_stack.broker.manifests import Mode
from local_stack.broker.settings import BrokerSettings
from pydantic import SecretStr
from shared_clients.http import create_http
from shared_models.enums import ServiceName
from shared_models.ids import new_id
from shared_models.tokens import ServiceTokens
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.support.servers import free_socket, serving
from tests.support.waiting import PATIENCE_S, eventually

BROKER = "tested"
KEY = secrets.token_hex(32)
PATH = f"/default/{BROKER}"
ORDERED = {"kafka.eventing.knative.dev/delivery.order": "ordered"}

type Json = dict[str, Any]


@dataclass(frozen=True)
class Received:
    """One request of the broker, as it came. `at_s` on the clock of `time.monotonic`."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at_s: float

    @property
    def id(self) -> str:
        return self.headers["ce-id"]


type Script = Callable[[Received], Response | Awaitable[Response]]


def accept(_received: Received) -> Response:
    return Response(status_code=202)


def answers(*statuses: int, then: int = 202) -> Callable[[Received], Response]:
    """These statuses in turn for each event, then `then`."""
    seen: dict[str, int] = {}

    def answer(received: Received) -> Response:
        turn = seen.get(received.id, 0)
        seen[received.id] = turn + 1
        return Response(status_code=statuses[turn] if turn < len(statuses) else then)

    return answer


class Receiver:
    """A subscriber under every path. Each path has a script; while `released` is not set, no answer is given."""

    def __init__(self) -> None:
        self.sock, self.url = free_socket()
        self.received: list[Received] = []
        self.scripts: dict[str, Script] = {}
        self.released = asyncio.Event()
        self.released.set()

    def at(self, path: str) -> list[Received]:
        return [each for each in self.received if each.path == path]

    def ids(self, path: str) -> list[str]:
        return [each.id for each in self.at(path)]

    async def wait_for(self, count: int, path: str) -> list[Received]:
        async def enough() -> bool:
            return len(self.at(path)) >= count

        await eventually(enough)
        return self.at(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        received = Received(request.url.path, dict(request.headers), body, time.monotonic())
        self.received.append(received)
        await self.released.wait()
        answer = self.scripts.get(received.path, accept)(received)
        await (answer if isinstance(answer, Response) else await answer)(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def trigger(
    name: str,
    subscriber: str,
    *,
    filters: Sequence[Json] = (),
    delivery: Json | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Json:
    """A Trigger. `subscriber`: a path of the receiver."""
    found: Json = {"broker": BROKER, "subscriber": ref(subscriber), **spec}
    if filters:
        found["filters"] = list(filters)
    if delivery is not None:
        found["delivery"] = delivery
    metadata: Json = {"name": name, **({"annotations": dict(annotations)} if annotations else {})}
    return {"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": metadata, "spec": found}


def ref(path: str) -> Json:
    return {"ref": {"apiVersion": "v1", "kind": "Service", "name": "receiver"}, "uri": path}


def broker(delivery: Json | None = None) -> Json:
    spec: Json = {} if delivery is None else {"delivery": delivery}
    return {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": BROKER}, "spec": spec}


def exact(**attributes: str) -> Json:
    return {"exact": attributes}


@dataclass
class RunningBroker:
    """A local broker on a port, and a client that is allowed in."""

    url: str
    app: BrokerApp
    http: httpx.AsyncClient
    token: str = field(repr=False)

    @property
    def broker(self) -> Broker:
        return self.app.state.broker

    async def send(self, **attributes: str) -> str:
        """Post an event in binary mode, its data `{}`, and see it taken. Returns its id."""
        event = event_attributes(**attributes)
        reply = await self.post({f"ce-{name}": value for name, value in event.items()}, b"{}")
        assert reply.status_code == 202, reply.status_code
        return event["id"]

    async def post(self, headers: Mapping[str, str], body: bytes, *, token: str | None = None) -> httpx.Response:
        given = self.token if token is None else token
        sent = {"content-type": "application/json", "authorization": f"Bearer {given}", **headers}
        return await self.http.post(self.url + PATH, content=body, headers=sent)

    async def idle(self) -> None:
        await asyncio.wait_for(self.broker.idle(), timeout=PATIENCE_S)


def event_attributes(**attributes: str) -> dict[str, str]:
    defaults = {"id": str(new_id()), "source": "/tests", "type": "com.example.happened", "specversion": "1.0"}
    return defaults | attributes


def settings_of(
    database_url: str, manifests: Path, subscribers: Mapping[str, str], mode: Mode = Mode.KAFKA
) -> BrokerSettings:
    return BrokerSettings(
        database_url=SecretStr(database_url),
        service_token_key=SecretStr(KEY),
        broker_subscribers=dict(subscribers),
        broker_manifests=manifests,
        broker_mode=mode,
        broker_control=True,
    )


@asynccontextmanager
async def running_broker(
    database_url: str,
    folder: Path,
    objects: Sequence[Json],
    receiver: Receiver,
    *,
    mode: Mode = Mode.KAFKA,
) -> AsyncIterator[RunningBroker]:
    """A broker with these objects, subscribers at the receiver."""
    manifests = folder / "manifests.yaml"
    manifests.write_text(yaml.safe_dump_all(list(objects)))
    settings = settings_of(database_url, manifests, {"receiver": receiver.url}, mode)
    token = ServiceTokens(KEY, ServiceName.AGENT_SERVICE).make(ServiceName.BROKER)
    sock, url = free_socket()
    app = create_app(settings)
    async with AsyncExitStack() as stack:
        http = create_http()
        stack.push_async_callback(http.aclose)
        await stack.enter_async_context(serving(app, sock))
        yield RunningBroker(url, app, http, token)


@asynccontextmanager
async def running_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with serving(receiver, receiver.sock):
        yield receiver
