"""The broker over HTTP: plain ASGI, as it is on the way of every event.

Source: https://github.com/knative/specs/blob/main/specs/eventing/data-plane.md; the statuses of Knative's Kafka broker."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError
from shared_models.errors import Unavailable
from shared_models.faults import fault
from shared_models.logging import get_logger
from shared_models.tokens import InvalidToken

from local_stack.broker.broker import Broker
from local_stack.broker.knobs import Knobs
from local_stack.broker.manifests import BrokerConfig
from local_stack.broker.settings import BrokerSettings
from local_stack.broker.store import AnotherBroker
from local_stack.broker.wire import MAX_EVENT_BYTES, Event, NotAnEvent, parse

ALLOW = [(b"allow", b"POST, OPTIONS")]

log = get_logger(__name__)

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True)
class State:
    broker: Broker


class BrokerApp:
    """`state.broker` is the broker; it runs between the lifespan's start and end."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.state = State(Broker(settings))
        self._has_control = settings.broker_control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            status, body = await self._answer(scope, receive)
            await _reply(send, status, body, ALLOW if status == 405 or scope["method"] == "OPTIONS" else [])

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.state.broker.start()
        except (AnotherBroker, Unavailable) as exc:
            await self.state.broker.close()
            message = str(exc) if isinstance(exc, AnotherBroker) else "the database does not answer"
            await send({"type": "lifespan.startup.failed", "message": f"The local broker cannot start: {message}"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.state.broker.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        path, method = scope["path"], scope["method"]
        if path in ("/livez", "/readyz") and method == "GET":
            return (200 if path == "/livez" or await self.state.broker.is_ready() else 503), b""
        if path == "/control" and self._has_control:
            return await self._control(scope, receive)
        config = self.state.broker.brokers.get(path)
        if config is None:
            return (404 if path.count("/") == 2 else 400), b""
        if method == "OPTIONS":
            return 200, b""
        if method != "POST":
            return 405, b""
        return await self._take(config, scope, receive), b""

    async def _take(self, config: BrokerConfig, scope: Scope, receive: Receive) -> int:
        caller = self._caller(scope)
        if not caller:
            return 401
        body = await _body(receive)
        if body is None:
            return 413
        try:
            event = parse(scope["headers"], body)
            if not _may_send(config, caller, event):
                return 403
            await self.state.broker.publish(config.path, event)
            await fault("local_broker.event.stored", event.attributes["id"])
        except NotAnEvent as exc:
            log.warning("not_an_event", reason=str(exc))
            return 400
        except Unavailable:
            return 503
        return 202

    def _caller(self, scope: Scope) -> str:
        """The name of the service whose token this is, or nothing."""
        for name, value in scope["headers"]:
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                try:
                    return self.state.broker.tokens.verify(value[7:].decode("latin-1")).service.value
                except InvalidToken:
                    return ""
        return ""

    async def _control(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """GET tells the counts and the knobs, PUT sets the knobs. With a service's token only."""
        broker = self.state.broker
        if not self._caller(scope):
            return 401, b""
        if scope["method"] == "PUT":
            try:
                broker.set_knobs(Knobs.model_validate_json(await _body(receive) or b""))
            except ValidationError as exc:
                return 422, exc.json(include_input=False, include_url=False).encode()
        elif scope["method"] != "GET":
            return 405, b""
        state = {
            "received": dict(broker.received),
            "counts": dict(broker.counts),
            "held": broker.held,
            "is_idle": broker.is_idle,
            "knobs": broker.knobs.model_dump(),
        }
        return 200, orjson.dumps(state)


def create_app(settings: BrokerSettings) -> BrokerApp:
    """Raises LaunchProblem for manifests that the broker cannot serve."""
    return BrokerApp(settings)


def _may_send(config: BrokerConfig, caller: str, event: Event) -> bool:
    """Without policies every service may; with policies one of them must admit the caller and the event."""
    return not config.policies or any(policy.admits(caller, event.attributes) for policy in config.policies)


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or None when it is larger than the largest event."""
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        parts.append(part)
        size_bytes += len(part)
        if size_bytes > MAX_EVENT_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


async def _reply(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = [(b"content-length", str(len(body)).encode())]
    content_type = [(b"content-type", b"application/json")] if body else []
    await send({"type": "http.response.start", "status": status, "headers": length + content_type + headers})
    await send({"type": "http.response.body", "body": body})
