"""Wiring: the only file that builds objects."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import httpx
from fastapi import FastAPI
from shared_clients.events import SINK_RETRIES, EventSinkClient, event_sink
from shared_clients.http import ServiceClient, create_http
from shared_clients.request_manager import RequestManagerClient
from shared_models.api import UserView
from shared_models.database import Database
from shared_models.dead_letter_box import WorkItemBox, waker
from shared_models.dead_letter_routes import dead_letter_router
from shared_models.dead_letters import refused_events
from shared_models.enums import ServiceName
from shared_models.errors import Unavailable
from shared_models.event_access import EventAccess
from shared_models.event_endpoint import EventEndpoint, events_router
from shared_models.health import Health, create_operations_app
from shared_models.logging import get_logger
from shared_models.notifier import Notifier
from shared_models.pause import Pause
from shared_models.retention import Retention
from shared_models.schema_version import is_current
from shared_models.tokens import Acting, ServiceTokens
from shared_models.warming import warm_if_there
from shared_models.web import create_app as create_service_app
from shared_models.web import service_caller
from shared_models.work_item import Completed, RetryPolicy, WorkItem
from shared_models.work_queue import WorkQueue
from shared_models.worker import Worker

from integration_dispatcher.accounts import Accounts
from integration_dispatcher.addresses import Addresses
from integration_dispatcher.background import (
    integrations_in_detail,
    listen,
    loops,
    refresh_gauges,
    secrets_in_detail,
    stop_task,
)
from integration_dispatcher.configs import IntegrationConfigs
from integration_dispatcher.dead_letters import DispatcherBox
from integration_dispatcher.doors import listening_to_slack, mail_doors, reading_mail, slack_door
from integration_dispatcher.guarded_http import GuardedHttp, SystemLookup
from integration_dispatcher.handlers import all_handlers
from integration_dispatcher.handlers.base import Edges, Message
from integration_dispatcher.inbound.base import InboundEdges
from integration_dispatcher.inbound.inbox import Inbox
from integration_dispatcher.inbound.people import People
from integration_dispatcher.inbound.processors import all_processors
from integration_dispatcher.layers import Layers
from integration_dispatcher.parts import Parts
from integration_dispatcher.processor import DeliveryProcessor, Queues
from integration_dispatcher.progress import shown_progress
from integration_dispatcher.routes.deliveries import deliveries_router, history_router
from integration_dispatcher.routes.health import integration_health_router
from integration_dispatcher.routes.integrations import defaults_router, user_integrations_router
from integration_dispatcher.routes.sms import sms_router
from integration_dispatcher.settings import Settings
from integration_dispatcher.sms_callbacks import SmsCallbacks
from integration_dispatcher.store import configs, dead_deliveries, deliveries, history, inbound, plans, retention
from integration_dispatcher.store.names import DELIVERIES, EVENTS
from integration_dispatcher.vault import Vault

NOBODY = UUID(int=0)
# A handler's failures are counted on the delivery; what the queue counts are errors of ours.
OWN_ERRORS = RetryPolicy(attempts=10, base_s=1.0, cap_s=300.0)
FINISH_WITHIN_S = 5.0

log = get_logger(__name__)


def create_app(settings: Settings, http: httpx.AsyncClient | None = None) -> FastAPI:
    """The service; `http` carries its calls to request-manager or the broker. Its parts stand at `app.state.parts` once started."""
    tokens = ServiceTokens(settings.service_token_key.get_secret_value(), ServiceName.INTEGRATION_DISPATCHER)
    database = Database.of(settings)

    async def is_started() -> None:
        if not hasattr(app.state, "parts"):
            raise Unavailable

    async def is_migrated() -> None:
        if not await is_current(database):
            raise Unavailable

    health = Health(
        ServiceName.INTEGRATION_DISPATCHER.value,
        {"started": is_started, "migrations": is_migrated},
        facts=settings.facts,
        details={
            "integrations": lambda: integrations_in_detail(app),
            "secrets": lambda: secrets_in_detail(app),
        },
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with started(settings, database, tokens, http) as parts:
            app.state.parts = parts
            yield

    routers = [
        events_router(),
        deliveries_router(tokens),
        history_router(tokens),
        user_integrations_router(tokens),
        defaults_router(tokens),
        integration_health_router(tokens),
        dead_letter_router(
            lambda request: request.app.state.parts.dead_letters, service_caller(tokens, ServiceName.REQUEST_MANAGER)
        ),
    ]
    if settings.sms is not None:
        routers.append(sms_router())
    if settings.slack_signing_secret.get_secret_value():
        from integration_dispatcher.routes.slack import slack_router

        routers.append(slack_router())
    if settings.has_mail_links:
        from integration_dispatcher.routes.email import email_router

        routers.append(email_router())
    app = create_service_app(ServiceName.INTEGRATION_DISPATCHER, health=health, routers=routers, lifespan=lifespan)
    app.state.operations = create_operations_app(health, lambda: refresh_gauges(app))
    return app


@asynccontextmanager
async def started(
    settings: Settings, database: Database, tokens: ServiceTokens, http: httpx.AsyncClient | None
) -> AsyncIterator[Parts]:
    """Open everything in order, warm it, run it; close it in the opposite order."""
    async with AsyncExitStack() as stack:
        await database.open()
        stack.push_async_callback(database.close)
        client = http if http is not None else await stack.enter_async_context(create_http())
        lookup = SystemLookup()
        stack.callback(lookup.close)
        worker = Worker(database, ServiceName.INTEGRATION_DISPATCHER)
        await worker.start()
        stack.push_async_callback(worker.stop)
        parts = build(
            settings,
            database,
            worker,
            client,
            GuardedHttp(settings.address_policy, lookup, timeout_s=settings.webhook_timeout_s),
            event_sink(client, settings, tokens),
            tokens,
            EventAccess(settings, tokens, client, ServiceName.REQUEST_MANAGER),
        )
        stack.push_async_callback(parts.queues.notifier.close)
        await warm_if_there(warm(database))
        stack.push_async_callback(parts.progress.close)
        parts.queues.deliveries.start()
        parts.queues.events.start()
        parts.inbox.queue.start()
        parts.refused.start()
        stack.push_async_callback(parts.refused.stop)
        stack.push_async_callback(parts.queues.events.stop)
        stack.push_async_callback(parts.inbox.queue.stop, finish_within_s=FINISH_WITHIN_S)
        stack.push_async_callback(parts.queues.deliveries.stop, finish_within_s=FINISH_WITHIN_S)
        if settings.reads_mail:
            await stack.enter_async_context(reading_mail(settings, database, worker.id, parts.inbox))
        if parts.slack is not None:
            await stack.enter_async_context(listening_to_slack(settings, parts.slack, parts.inbox))
        listener = listen(settings, parts)
        listener.start()
        stack.push_async_callback(listener.close)
        for task in loops(settings, parts):
            stack.push_async_callback(stop_task, task)
        removal = Retention(database, retention.removals(settings))
        removal.start()
        stack.push_async_callback(removal.stop)
        yield parts


def build(
    settings: Settings,
    database: Database,
    worker: Worker,
    http: httpx.AsyncClient,
    guarded_http: GuardedHttp,
    sink: EventSinkClient,
    tokens: ServiceTokens,
    access: EventAccess,
) -> Parts:
    async def keep_test_message(message: Message) -> None:
        await history.keep_test_message(database, message)

    async def deliver(item: WorkItem) -> Completed | None:
        return await processor.deliver_due(item)

    async def report(item: WorkItem) -> None:
        await processor.report(item)

    async def give_up(item: WorkItem, reason: str) -> None:
        await processor.give_up(item, reason)

    edges = Edges(settings, database, http, guarded_http, keep_test_message)
    handlers = all_handlers(edges)
    layers = Layers(handlers, settings.integration_defaults, Vault(settings.keys))
    concurrency = settings.delivery_concurrency
    queues = Queues(
        deliveries=WorkQueue(
            *(database, worker.id, DELIVERIES, deliver),
            concurrency=concurrency,
            retry=OWN_ERRORS,
            timeout_s=None,
            on_dead=give_up,
        ),
        events=WorkQueue(
            database, worker.id, EVENTS, report, concurrency=concurrency, retry=SINK_RETRIES, pause=Pause()
        ),
        notifier=Notifier(database),
        worker_id=worker.id,
    )

    def as_person(person: UserView) -> RequestManagerClient:
        return manager_client(http, settings, tokens, Acting(person.user_id, person.email, person.name))

    manager = manager_client(http, settings, tokens)
    progress = shown_progress(settings, http, database)
    processors = all_processors(InboundEdges(settings, database, http, manager, People(manager), as_person, progress))
    inbox = Inbox(database, worker.id, queues.notifier, processors)
    accounts = Accounts(database, handlers, queues.wake_for_deliveries)
    fallback_after_s = settings.delivery_fallback_after_s
    processor = DeliveryProcessor(database, layers, accounts, queues, sink, progress, fallback_after_s=fallback_after_s)
    endpoint = EventEndpoint(ServiceName.INTEGRATION_DISPATCHER, database, access, processor.take_event)
    refused = refused_events(database, worker.id, ServiceName.INTEGRATION_DISPATCHER, processor.take_event)
    items = WorkItemBox(
        database,
        ServiceName.INTEGRATION_DISPATCHER,
        waker((queues.deliveries, queues.events, inbox.queue, refused), queues.notifier),
        letters=dead_deliveries.LETTERS,
        hidden=[DELIVERIES],
    )
    box = DispatcherBox(items, processor)
    sms = sms_callbacks(settings, database, processor, queues)
    door = slack_door(settings, inbox)
    settled = IntegrationConfigs(database, layers, Addresses(database, layers))
    pages = mail_doors(settings, database, inbox)
    return Parts(
        database, queues, processor, accounts, settled, endpoint, box, refused, inbox, progress, sms, door, pages
    )


def manager_client(
    http: httpx.AsyncClient, settings: Settings, tokens: ServiceTokens, acting: Acting | None = None
) -> RequestManagerClient:
    def token() -> str:
        return tokens.make(ServiceName.REQUEST_MANAGER, acting)

    return RequestManagerClient(ServiceClient(http, settings.request_manager_url, token))


def sms_callbacks(
    settings: Settings, database: Database, processor: DeliveryProcessor, queues: Queues
) -> SmsCallbacks | None:
    """None: SMS is off."""
    if settings.sms is None:
        return None
    return SmsCallbacks(database, settings.sms, settings.public_url, processor.fall_back, queues.events.wake)


async def warm(database: Database) -> None:
    """Run each statement of the hot path once, with nothing to do, so that the first answer is as fast as the next."""
    await configs.for_user(database, NOBODY)
    await plans.warm(database)
    await deliveries.warm(database)
    await inbound.warm(database)
