"""What runs beside the routes of a started process, and what its operators' port shows."""

import asyncio
from contextlib import suppress

from fastapi import FastAPI
from shared_models import queue_states
from shared_models.database import Listener
from shared_models.enums import ServiceName
from shared_models.errors import Unavailable
from shared_models.logging import get_logger
from shared_models.notifier import WAKE_CHANNEL
from shared_models.telemetry import DEAD_LETTERS

from integration_dispatcher.parts import Parts
from integration_dispatcher.resealing import Resealing
from integration_dispatcher.settings import Settings
from integration_dispatcher.store import dead_deliveries
from integration_dispatcher.store.names import DELIVERIES, EVENTS, INBOUND

log = get_logger(__name__)


def loops(settings: Settings, parts: Parts) -> "list[asyncio.Task[None]]":
    """Start the periodic work; stop each with `stop_task`."""
    return [
        asyncio.create_task(sweep_for_ever(parts, settings.delivery_sweep_every_s), name="sweep"),
        asyncio.create_task(parts.accounts.watch(settings.integration_check_every_s), name="accounts"),
        asyncio.create_task(resealing(parts).run_once(), name="resealing"),
    ]


def resealing(parts: Parts) -> Resealing:
    return Resealing(parts.database, parts.configs.layers.vault)


def listen(settings: Settings, parts: Parts) -> Listener:
    queues = {
        queue.name: queue for queue in (parts.queues.deliveries, parts.queues.events, parts.inbox.queue, parts.refused)
    }

    def on_notify(_channel: str, payload: str) -> None:
        if payload in queues:
            queues[payload].wake_soon()

    def on_gap() -> None:
        for queue in queues.values():
            queue.wake_soon()

    url = settings.database_listen_url.get_secret_value() or settings.database_url.get_secret_value()
    return Listener(url, [WAKE_CHANNEL], on_notify=on_notify, on_gap=on_gap)


async def refresh_gauges(app: FastAPI) -> None:
    """What the operators' port shows: the queues, the accounts; failed deliveries count as dead letters of theirs."""
    if hasattr(app.state, "parts"):
        parts: Parts = app.state.parts
        names = [DELIVERIES, EVENTS, INBOUND, parts.refused.name]
        await queue_states.refresh_gauges(parts.database, ServiceName.INTEGRATION_DISPATCHER, names)
        DEAD_LETTERS.labels(DELIVERIES).set(await dead_deliveries.count(parts.database))
        await parts.accounts.refresh_gauges()


async def integrations_in_detail(app: FastAPI) -> object:
    """The state of each integration's account, for `/health/detailed`."""
    parts: Parts = app.state.parts
    return [each.model_dump(mode="json") for each in await parts.accounts.health()]


async def secrets_in_detail(app: FastAPI) -> object:
    """How far a change of SECRETS_KEY is, for `/health/detailed`."""
    parts: Parts = app.state.parts
    return {"sealed_with_an_earlier_key": await resealing(parts).left()}


async def sweep_for_ever(parts: Parts, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await parts.processor.sweep()
            await parts.inbox.sweep()
            if parts.sms is not None:
                await parts.sms.sweep()
        except Unavailable:
            log.warning("sweep_failed", cause="Unavailable")
        except Exception:
            log.exception("sweep_failed")


async def stop_task(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
