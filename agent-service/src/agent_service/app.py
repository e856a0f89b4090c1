"""Wiring: the only file that builds objects."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
from fastapi import FastAPI
from shared_clients.events import SINK_RETRIES, event_sink
from shared_clients.http import create_http
from shared_models import queue_states
from shared_models.database import Database, Listener
from shared_models.dead_letter_box import WorkItemBox, waker
from shared_models.dead_letters import refused_events
from shared_models.enums import ServiceName
from shared_models.errors import Unavailable
from shared_models.event_access import EventAccess
from shared_models.event_endpoint import EventEndpoint, events_router
from shared_models.events import CloudEvent, EventBuilder
from shared_models.faults import fault
from shared_models.health import Health, create_operations_app
from shared_models.notifier import WAKE_CHANNEL, Notifier
from shared_models.pause import Pause
from shared_models.retention import Retention
from shared_models.schema_version import is_current
from shared_models.telemetry import span
from shared_models.tokens import IdentitySigner, ServiceTokens
from shared_models.warming import warm_if_there
from shared_models.web import create_app as create_service_app
from shared_models.work_item import Completed, RetryPolicy, WorkItem
from shared_models.work_queue import WorkQueue
from shared_models.worker import Worker

from agent_service.agent_files import Surroundings, load_agents
from agent_service.commands import Commands
from agent_service.decisions import Decisions
from agent_service.documents import knowledge_bases
from agent_service.domain.agents import AgentCatalogue
from agent_service.embeddings import Embeddings
from agent_service.ending import Clocks, Ending
from agent_service.ingest import Ingestor
from agent_service.knowledge import KnowledgeSearch
from agent_service.live import LiveRuns
from agent_service.llama_stack import LlamaStack
from agent_service.mcp_client import McpTools
from agent_service.mirror import Mirror
from agent_service.outside import Outside
from agent_service.parts import Parts
from agent_service.processor import AgentProcessor
from agent_service.routes import agents, answers, dead_letters, runs, sessions
from agent_service.runner import Runner
from agent_service.settings import ServerSessions, Settings
from agent_service.starts import Starts
from agent_service.store import intake, retention
from agent_service.store.intake import EVENTS, RUNS
from agent_service.turn_loop import Retries, TurnLoop
from agent_service.upkeep import Upkeep
from agent_service.waiting import Waiters
from agent_service.warm_up import warm_patiently, warm_routes, warm_statements

RUN_NEWS = "ssa_runs"
# A failure of the model or a tool ends the run; what comes here are errors of ours.
OWN_ERRORS = RetryPolicy(attempts=4, base_s=0.5, cap_s=10.0)
LONGEST_RUN_S = 900.0
EVENT_CONCURRENCY = 64


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(settings: Settings, http: httpx.AsyncClient | None = None, outside: Outside | None = None) -> FastAPI:
    """The service. `http` carries its calls; `outside` replaces model, tools and knowledge (tests).

    Its parts stand at `app.state.parts` once started. Raises AgentFilesInvalid."""
    tokens = ServiceTokens(settings.service_token_key.get_secret_value(), ServiceName.AGENT_SERVICE)
    database = Database.of(settings)
    catalogue = outside.agents if outside else installed_agents(settings)

    async def is_started() -> None:
        if not hasattr(app.state, "parts"):
            raise Unavailable

    async def is_migrated() -> None:
        if not await is_current(database):
            raise Unavailable

    async def refresh_gauges() -> None:
        if hasattr(app.state, "parts"):
            names = [queue.name for queue in app.state.parts.queues]
            await queue_states.refresh_gauges(database, ServiceName.AGENT_SERVICE, names)

    health = Health(
        ServiceName.AGENT_SERVICE.value,
        {"started": is_started, "migrations": is_migrated},
        facts={**settings.facts, "model": settings.llama_stack_model or "first listed"},
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await database.open()
            stack.push_async_callback(database.close)
            client = http if http is not None else await stack.enter_async_context(create_http())
            reached = outside or await real_outside(settings, database, client, catalogue, stack)
            app.state.parts = await started(settings, database, tokens, client, reached, stack)
            await warm_routes(app, settings.service_token_key.get_secret_value())
            yield

    routers = [answers.router, events_router(), runs.router, sessions.router, agents.router, dead_letters.router]
    app = create_service_app(ServiceName.AGENT_SERVICE, health=health, routers=routers, lifespan=lifespan)
    app.state.operations = create_operations_app(health, refresh_gauges)
    return app


async def started(
    settings: Settings,
    database: Database,
    tokens: ServiceTokens,
    client: httpx.AsyncClient,
    outside: Outside,
    stack: AsyncExitStack,
) -> Parts:
    """Start everything in order, warmed; `stack` ends it in the opposite order."""
    worker = Worker(database, ServiceName.AGENT_SERVICE)
    await worker.start()
    stack.push_async_callback(worker.stop)
    notifiers = Notifier(database), Notifier(database, RUN_NEWS)
    for notifier in notifiers:
        stack.push_async_callback(notifier.close)
    parts = build(settings, database, tokens, worker, outside, notifiers, client)
    await warm_if_there(warm_statements(database, worker.id))
    parts.processor.waiters.start()
    stack.push_async_callback(parts.processor.waiters.close)
    for queue in parts.queues:
        queue.start()
        stack.push_async_callback(queue.stop)
    listener = listen(settings, parts)
    listener.start()
    stack.push_async_callback(listener.close)
    upkeep = asyncio.create_task(parts.upkeep.sweep_for_ever(), name="upkeep")
    stack.push_async_callback(stop_task, upkeep)
    removal = Retention(database, retention.removals(settings))
    removal.start()
    stack.push_async_callback(removal.stop)
    return parts


def installed_agents(settings: Settings) -> AgentCatalogue:
    """Raises AgentFilesInvalid."""
    around = Surroundings(
        servers=frozenset(settings.mcp_servers),
        knowledge_bases=knowledge_bases(settings.knowledge_dir),
        model=settings.llama_stack_model,
        off=settings.mcp_servers_off,
    )
    return load_agents(settings.agents_dir, around)


async def real_outside(
    settings: Settings,
    database: Database,
    client: httpx.AsyncClient,
    catalogue: AgentCatalogue,
    stack: AsyncExitStack,
) -> Outside:
    """Model, tools and knowledge as configured, each called once: the first person waits for no import or connection."""
    llama_stack = LlamaStack(client, settings.llama_stack_url, api_key=settings.llama_stack_api_key.get_secret_value())
    embeddings = Embeddings(
        client,
        settings.embeddings_url,
        settings.embeddings_model,
        api_key=settings.embeddings_api_key.get_secret_value(),
    )
    lock_url = (settings.database_listen_url or settings.database_url).get_secret_value()
    ingestor = Ingestor(database, embeddings, settings.knowledge_dir, lock_url=lock_url)
    ingestor.start()
    stack.push_async_callback(ingestor.stop)
    servers = {name: url for name, url in settings.mcp_servers.items() if url}
    tools = McpTools(client, servers, IdentitySigner(settings.identity_signing_key.get_secret_value()))
    knowledge = KnowledgeSearch(database, embeddings)
    await asyncio.gather(
        warm_patiently("model", llama_stack.warm, patience_s=0),
        warm_patiently("tools", tools.warm),
        warm_patiently("knowledge", knowledge.warm),
    )
    has_copies = settings.llama_stack_sessions is ServerSessions.SERVER
    return Outside(catalogue, llama_stack, tools, knowledge, llama_stack if has_copies else None)


def build(
    settings: Settings,
    database: Database,
    tokens: ServiceTokens,
    worker: Worker,
    outside: Outside,
    notifiers: tuple[Notifier, Notifier],
    client: httpx.AsyncClient,
    now: Callable[[], datetime] = utc_now,
) -> Parts:
    work_news, run_news = notifiers
    sink = event_sink(client, settings, tokens)
    access = EventAccess(settings, tokens, client, ServiceName.REQUEST_MANAGER)

    async def send(item: WorkItem) -> None:
        event = CloudEvent.model_validate(item.payload, extra="ignore")
        with span("send", traceparent=event.extensions.get("traceparent", "")):
            await fault("agent_service.event.before_send", item.ref)
            await sink.send(event)
            await fault("agent_service.event.sent", item.ref)

    async def run(item: WorkItem) -> Completed | None:
        return await runner.handle(item)

    async def give_up(item: WorkItem, reason: str) -> None:
        await upkeep.end_dead(item, reason)

    events = WorkQueue(
        database, worker.id, EVENTS, send, concurrency=EVENT_CONCURRENCY, retry=SINK_RETRIES, pause=Pause()
    )
    run_queue = WorkQueue(
        database,
        worker.id,
        RUNS,
        run,
        concurrency=settings.run_concurrency,
        retry=OWN_ERRORS,
        timeout_s=LONGEST_RUN_S,
        on_dead=give_up,
    )
    waiters = Waiters(partial(intake.ended, database), partial(intake.missing, database))
    live = LiveRuns(database, worker.id, lambda request_id: run_news.notify(f"news:{request_id}"))
    builder = EventBuilder(ServiceName.AGENT_SERVICE)
    ending = Ending(database, worker.id, events, builder, waiters, live, Clocks(), run_news, now)
    starts = Starts()
    loop = TurnLoop(database, outside, Retries(settings.model_retries, settings.model_retry_base_s), now)
    runner = Runner(
        database=database,
        worker=worker.id,
        events=events,
        wake_runs=run_queue.wake,
        builder=builder,
        ending=ending,
        loop=loop,
        commands=Commands(database, ending.end, now),
        decisions=Decisions(database, loop),
        mirror=Mirror(database, outside.conversations),
        runs_per_user=settings.runs_per_user,
        processing_after_s=settings.processing_after_s,
        starts=starts,
    )
    upkeep = Upkeep(database, ending, settings.sweep_every_s)
    processor = AgentProcessor(
        database=database,
        runs=run_queue,
        waiters=waiters,
        ending=ending,
        notify_work=work_news,
        now=now,
        answer_wait_s=settings.answer_wait_s,
        session_lifetime=timedelta(days=settings.session_days),
        runs_per_user=settings.runs_per_user,
        starts=starts,
    )
    endpoint = EventEndpoint(ServiceName.AGENT_SERVICE, database, access, processor.take_event)
    refused = refused_events(database, worker.id, ServiceName.AGENT_SERVICE, processor.take_event)
    box = WorkItemBox(database, ServiceName.AGENT_SERVICE, waker((run_queue, events, refused), work_news))
    return Parts(database, tokens, run_queue, events, refused, outside, processor, ending, live, upkeep, endpoint, box)


def listen(settings: Settings, parts: Parts) -> Listener:
    queues = {queue.name: queue for queue in parts.queues}

    def on_notify(channel: str, payload: str) -> None:
        if channel == RUN_NEWS:
            parts.ending.heard(payload)
        elif payload in queues:
            queues[payload].wake_soon()

    def on_gap() -> None:
        parts.processor.waiters.look_at_all()
        parts.live.wake_all()
        for queue in queues.values():
            queue.wake_soon()

    url = (settings.database_listen_url or settings.database_url).get_secret_value()
    return Listener(url, [WAKE_CHANNEL, RUN_NEWS], on_notify=on_notify, on_gap=on_gap)


async def stop_task(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
