"""The three services' `/events`, each with an event that it takes and a way to count what came of it; or any other receiver."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote
from uuid import uuid4

import httpx
from shared_models.enums import ServiceName
from shared_models.events import CloudEvent, EventBuilder
from shared_models.ids import new_id
from shared_models.schemas import NormalizedRequest
from shared_models.tokens import ServiceTokens

from tests.support import agent_world, dispatcher, request_manager
from tests.support.database import superuser
from tests.support.neighbours import answer_to
from tests.support.scripted_outside import says
from tests.support.waiting import eventually

RECEIVER_URL = os.environ.get("RECEIVER_URL", "")
RECEIVER_SERVICE = os.environ.get("RECEIVER_SERVICE", ServiceName.AGENT_SERVICE)
RECEIVER_TOKEN = os.environ.get("RECEIVER_TOKEN", "")


@dataclass(frozen=True)
class Valid:
    """A new event that the receiver takes: attributes as text, data as JSON."""

    attributes: dict[str, str]
    data: str

    @classmethod
    def of(cls, event: CloudEvent) -> "Valid":
        headers, body = event.to_binary()
        attributes = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
        return cls(attributes | {"id": str(new_id())}, body.decode())


@dataclass(frozen=True)
class Target:
    """`new_event` makes a valid event; `effects` counts what events have caused so far, None where it cannot be seen."""

    path: str
    http: httpx.AsyncClient
    new_event: Callable[[], Valid]
    effects: Callable[[], Awaitable[int]] | None = None
    audience: ServiceName = ServiceName.REQUEST_MANAGER
    key: str = field(default="", repr=False)
    given_token: str = field(default="", repr=False)

    @property
    def token(self) -> str:
        return self.given_token or ServiceTokens(self.key, ServiceName.BROKER).make(self.audience)

    async def post(self, sent: tuple[dict[str, str], bytes], token: str | None = None) -> httpx.Response:
        given = self.token if token is None else token
        headers = sent[0] | ({"authorization": f"Bearer {given}"} if given else {})
        return await self.http.post(self.path, content=sent[1], headers=headers, timeout=60)


@asynccontextmanager
async def request_manager_target(database_url: str) -> AsyncIterator[Target]:
    """Takes the answer to a request whose run goes on."""
    async with request_manager.stage(database_url) as stage, stage.replica() as replica:
        stage.agents.holds = True
        await replica.post(await stage.person())

        async def asked() -> bool:
            return bool(stage.agents.asked)

        await eventually(asked)
        [request] = stage.agents.asked

        async def effects() -> int:
            return await count(database_url, "select count(*) from request_logs where status = 'completed'")

        yield Target(
            "/events",
            replica.client,
            lambda: Valid.of(EventBuilder(ServiceName.AGENT_SERVICE).response_ready(answer_to(request))),
            effects,
            ServiceName.REQUEST_MANAGER,
            request_manager.TOKEN_KEY,
        )
        stage.agents.finish_all()


@asynccontextmanager
async def agent_service_target(database_url: str) -> AsyncIterator[Target]:
    """Takes a new request and answers it."""
    async with agent_world.agent_world(database_url) as world:
        world.model.will(*[says("hello")] * 100)

        async def effects() -> int:
            return await count(database_url, "select count(*) from agent_runs")

        yield Target(
            "/events",
            world.http,
            lambda: Valid.of(request_created(world.request("hello"))),
            effects,
            ServiceName.AGENT_SERVICE,
            agent_world.KEY,
        )


@asynccontextmanager
async def dispatcher_target(database_url: str) -> AsyncIterator[Target]:
    """Takes an answer and delivers it to the test integration."""
    async with dispatcher.running(dispatcher.settings(database_url)) as running:

        async def effects() -> int:
            return await count(database_url, "select count(*) from delivery_logs")

        yield Target(
            "/events", running.http, new_answer, effects, ServiceName.INTEGRATION_DISPATCHER, dispatcher.TOKEN_KEY
        )


def request_created(request: NormalizedRequest) -> CloudEvent:
    return EventBuilder(ServiceName.REQUEST_MANAGER).request_created(request)


def new_answer() -> Valid:
    answer = dispatcher.ended(uuid4(), dispatcher.wish("test"))
    return Valid.of(EventBuilder(ServiceName.AGENT_SERVICE).response_ready(answer))


async def count(database_url: str, sql: str) -> int:
    async with superuser(database_url) as connection:
        return int(await connection.fetchval(sql))


TARGETS: dict[str, Callable[[str], AbstractAsyncContextManager[Target]]] = {
    ServiceName.REQUEST_MANAGER: request_manager_target,
    ServiceName.AGENT_SERVICE: agent_service_target,
    ServiceName.INTEGRATION_DISPATCHER: dispatcher_target,
}


@asynccontextmanager
async def given_target() -> AsyncIterator[Target]:
    """RECEIVER_URL. RECEIVER_SERVICE says which events it takes: a request for agent-service, else an answer."""
    makes_requests = RECEIVER_SERVICE == ServiceName.AGENT_SERVICE
    world = agent_world.AgentWorld("")

    def new_event() -> Valid:
        return Valid.of(request_created(world.request("Say hello."))) if makes_requests else new_answer()

    async with httpx.AsyncClient() as http:
        yield Target(RECEIVER_URL, http, new_event, given_token=RECEIVER_TOKEN)
