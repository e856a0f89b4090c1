"""The only file that builds objects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx
from fastapi import FastAPI
from shared_clients.agent_service import AgentServiceClient
from shared_clients.dead_letters import DeadLetterClient
from shared_clients.events import SINK_RETRIES, event_sink
from shared_clients.http import IDLE_AT_NEIGHBOURS_S, ServiceClient, create_http
from shared_clients.integration_dispatcher import IntegrationDispatcherClient
from shared_models import queue_states, web
from shared_models.batching import Batcher
from shared_models.database import Database, Listener
from shared_models.dead_letter_box import DeadLetterBox, WorkItemBox, waker
from shared_models.dead_letters import refused_events
from shared_models.enums import ServiceName
from shared_models.event_access import EventAccess
from shared_models.event_endpoint import EventEndpoint, events_router
from shared_models.events import EventBuilder
from shared_models.health import Health
from shared_models.jwks import JwksCache
from shared_models.notifier import WAKE_CHANNEL, Notifier
from shared_models.pause import Pause
from shared_models.retention import Retention
from shared_models.schema_version import is_current
from shared_models.settings import Profile
from shared_models.tokens import ServiceTokens
from shared_models.warming import warm_if_there
from shared_models.work_item import RetryPolicy
from shared_models.work_queue import WorkQueue
from shared_models.worker import Worker

from request_manager.authentication import Authenticator, OidcVerifier
from request_manager.dead_events import DEAD_EVENTS_QUEUE, DeadEvents
from request_manager.dead_letters import DeadLetterDesk
from request_manager.domain.sign_in import SignInRules
from request_manager.ends import Ends
from request_manager.intake import Intake
from request_manager.openapi import describe
from request_manager.pace import Pace
from request_manager.parts import Parts
from request_manager.processor import UnifiedRequestProcessor
from request_manager.relay import Relay
from request_manager.routes import (
    accounts,
    dead_events,
    dead_letters,
    deliveries,
    passed_on,
    requests,
    results,
    sessions,
    streams,
)
from request_manager.settings import RequestManagerSettings
from request_manager.store import retention
from request_manager.store.accept import REQUESTS_QUEUE, accept
from request_manager.store.requests import ENDS_QUEUE, RESPONSES_QUEUE, complete_requests, ended_results
from request_manager.strategy import CommunicationStrategy, DirectHttpStrategy, EventingStrategy
from request_manager.streams import RequestStreams
from request_manager.turns import Turns
from request_manager.waiting import ENDED_CHANNEL, Waiting
from request_manager.warm_up import connect_to_neighbour, warm_up

NAME = ServiceName.REQUEST_MANAGER
HANDOVER_CAP_S = 30.0
# Routes are looked for in this order: the busiest first.
ROUTERS = (
    events_router(),
    requests.router,
    results.router,
    streams.router,
    sessions.router,
    accounts.router,
    passed_on.router,
    deliveries.router,
    passed_on.catalogue,
    dead_letters.router,
    dead_events.router,
)


def create_app(settings: RequestManagerSettings, http: httpx.AsyncClient | None = None) -> FastAPI:
    """The service. Tests pass another `http`; without it the process's own client is made and closed."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            client = http
            if client is None:
                client = await stack.enter_async_context(create_http(idle_s=IDLE_AT_NEIGHBOURS_S))
            worker = Worker(database, NAME)
            parts = build(settings, database, worker.id, client)
            app.state.parts = parts
            app.state.before_shutdown = parts.waiting.let_go
            await start(stack, app, parts, worker)
            yield

    database = Database.of(settings)
    health = create_health(settings, database)
    docs = settings.profile is Profile.LOCAL
    app = web.create_app(NAME, health=health, routers=ROUTERS, lifespan=lifespan, docs=docs)
    app.state.health = health
    describe(app)
    return app


def create_health(settings: RequestManagerSettings, database: Database) -> Health:
    async def connected() -> None:
        await database.fetchval("select 1")

    async def migrated() -> None:
        if not await is_current(database):
            raise RuntimeError("the schema is older than this code")

    return Health(NAME.value, {"database": connected, "migrations": migrated}, facts=settings.facts)


def build(settings: RequestManagerSettings, database: Database, worker_id: str, http: httpx.AsyncClient) -> Parts:
    """Everything that a running service is made of; nothing is started."""
    tokens = ServiceTokens(settings.service_token_key.get_secret_value(), NAME)
    to_agents = _client(http, settings.agent_service_url, tokens, ServiceName.AGENT_SERVICE)
    to_dispatcher = _client(http, settings.integration_dispatcher_url, tokens, ServiceName.INTEGRATION_DISPATCHER)
    agents, dispatcher = AgentServiceClient(to_agents), IntegrationDispatcherClient(to_dispatcher)
    strategy: CommunicationStrategy = DirectHttpStrategy(agents, dispatcher)
    patient = RetryPolicy(attempts=settings.handover_attempts, cap_s=HANDOVER_CAP_S)
    retry, pauses = patient, None
    if settings.eventing_enabled:
        strategy = EventingStrategy(event_sink(http, settings, tokens), EventBuilder(NAME))
        retry, pauses = SINK_RETRIES, Pause
    wake_others, tell_ended = Notifier(database), Notifier(database, ENDED_CHANNEL)
    # The queues run what is built after them: the handlers look it up when they are called.
    requests_queue = WorkQueue(
        database,
        worker_id,
        REQUESTS_QUEUE,
        lambda item: relay.hand_over(item),
        concurrency=settings.relay_concurrency,
        retry=retry,
        pause=pauses() if pauses else None,
        timeout_s=settings.limits.deadline.total_seconds(),  # a run may take that long; each call has its own limit
        on_dead=lambda item, reason: dead.give_up(item, reason),
    )
    responses_queue = WorkQueue(
        database,
        worker_id,
        RESPONSES_QUEUE,
        lambda item: relay.announce(item),
        retry=retry,
        pause=pauses() if pauses else None,
    )
    ends_queue = WorkQueue(
        database,
        worker_id,
        ENDS_QUEUE,
        lambda item: ends.handle(item),
        retry=patient,
        on_dead=lambda item, reason: ends.on_dead(item, reason),
    )
    waiting = Waiting(lambda ids: ended_results(database, ids))
    processor = UnifiedRequestProcessor(
        database=database,
        limits=settings.limits,
        waiting=waiting,
        requests=requests_queue,
        responses=responses_queue,
        wake_others=wake_others,
        tell_ended=tell_ended,
        worker_id=worker_id,
        accepts=Batcher(
            lambda asked: accept(database, asked, settings.limits, worker=requests_queue.lease()),
            key=lambda request: request.user_id,
        ),
        completions=Batcher(
            lambda ends: complete_requests(database, ends, worker=responses_queue.lease(), owner=worker_id),
            key=lambda end: end.answer.session_id,
        ),
        pace=Pace(requests_queue.hand_off),
    )
    relay = Relay(database, processor, strategy, Turns(settings.running_requests))
    ends = Ends(database, agents, processor, ends_queue, wake_others)
    intake = Intake(database, processor, strategy)
    dead = DeadEvents(database, ends, processor, strategy, intake)
    replays = (
        refused_events(database, worker_id, NAME, intake.take),
        WorkQueue(database, worker_id, DEAD_EVENTS_QUEUE, dead.handle, concurrency=4, retry=patient),
    )
    access = EventAccess(settings, tokens, http, ServiceName.AGENT_SERVICE, ServiceName.INTEGRATION_DISPATCHER)
    boxes: dict[str, DeadLetterBox] = {
        NAME: WorkItemBox(database, NAME, waker((requests_queue, responses_queue, ends_queue, *replays), wake_others)),
        ServiceName.AGENT_SERVICE: DeadLetterClient(to_agents, ServiceName.AGENT_SERVICE),
        ServiceName.INTEGRATION_DISPATCHER: DeadLetterClient(to_dispatcher, ServiceName.INTEGRATION_DISPATCHER),
    }
    authenticator = Authenticator(database, tokens, _oidc(http, settings))
    return Parts(
        settings=settings,
        database=database,
        tokens=tokens,
        authenticator=authenticator,
        agents=agents,
        dispatcher=dispatcher,
        strategy=strategy,
        waiting=waiting,
        processor=processor,
        relay=relay,
        ends=ends,
        streams=RequestStreams(agents, processor),
        event_endpoint=EventEndpoint(NAME, database, access, intake.take),
        dead_event_endpoint=EventEndpoint(NAME, database, EventAccess(settings, tokens, http), dead.take),
        replays=replays,
        desk=DeadLetterDesk(boxes, database, processor),
    )


async def start(stack: AsyncExitStack, app: FastAPI, parts: Parts, worker: Worker) -> None:
    """Open and start everything; the stack ends it in the opposite order."""
    database = parts.database
    await database.open()
    stack.push_async_callback(database.close)
    await worker.start()
    stack.push_async_callback(worker.stop)
    for notifier in (parts.processor.wake_others, parts.processor.tell_ended):
        stack.push_async_callback(notifier.close)
    listener = create_listener(parts)
    listener.start()
    stack.push_async_callback(listener.close)
    parts.waiting.start()
    stack.push_async_callback(parts.waiting.close)
    for queue in parts.queues:
        queue.start()
        stack.push_async_callback(queue.stop)
    stack.callback(parts.processor.pace.close)
    sweeper = asyncio.create_task(parts.ends.sweep_for_ever(), name="sweep")
    stack.push_async_callback(_cancelled, sweeper)
    removal = Retention(database, retention.removals(parts.settings))
    removal.start()
    stack.push_async_callback(removal.stop)
    await warm_if_there(warm_up(app, parts))
    greeting = asyncio.create_task(connect_to_neighbour(parts), name="connect to agent-service")
    stack.push_async_callback(_cancelled, greeting)


def create_listener(parts: Parts) -> Listener:
    queues = {queue.name: queue for queue in parts.queues}

    def on_notify(channel: str, payload: str) -> None:
        if channel == ENDED_CHANNEL:
            parts.waiting.on_notify(payload)
        elif payload in queues:
            queues[payload].wake_soon()

    def on_gap() -> None:
        parts.waiting.look_at_all()
        for queue in queues.values():
            queue.wake_soon()

    channels = (ENDED_CHANNEL, WAKE_CHANNEL)
    return Listener(parts.settings.listen_url, channels, on_notify=on_notify, on_gap=on_gap)


async def refresh_gauges(parts: Parts) -> None:
    """What the operators' port shows of the queues."""
    await queue_states.refresh_gauges(parts.database, NAME, [queue.name for queue in parts.queues])


def _client(http: httpx.AsyncClient, url: str, tokens: ServiceTokens, callee: ServiceName) -> ServiceClient:
    return ServiceClient(http, url, lambda: tokens.make(callee))


def _oidc(http: httpx.AsyncClient, settings: RequestManagerSettings) -> OidcVerifier | None:
    if not settings.oidc_issuer:
        return None
    return OidcVerifier(
        jwks=JwksCache(http, settings.oidc_issuer, settings.oidc_jwks_url),
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        rules=SignInRules(settings.oidc_roles_claim, settings.bootstrap_admin, settings.oidc_trust_email),
    )


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
