"""One try of one part: read the settings, call the handler, write down what it said."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError
from shared_models.database import Database
from shared_models.enums import IntegrationType
from shared_models.errors import Unavailable
from shared_models.faults import fault
from shared_models.logging import get_logger
from shared_models.telemetry import DELIVERY_ATTEMPTS
from shared_models.work_item import Completed, RetryLater, WorkItem

from integration_dispatcher.accounts import Accounts
from integration_dispatcher.domain.redaction import safe_id, safe_words
from integration_dispatcher.domain.schedule import TryAgain, next_step
from integration_dispatcher.domain.selection import NOT_HERE, Effective
from integration_dispatcher.handlers.base import (
    Delivered,
    DeliveryDelayed,
    DeliveryPostponed,
    DeliveryRejected,
    IntegrationHandler,
    IntegrationPaused,
    Message,
)
from integration_dispatcher.layers import Layers
from integration_dispatcher.store import deliveries
from integration_dispatcher.store.deliveries import Ended, InVain, Outcome, Taken, Workers
from integration_dispatcher.vault import CannotDecrypt

LANE_HOLD_S = 60.0
PAUSED_FOR_S = 60.0
"""A check that succeeds makes what waits due at once; this is for what it misses."""
INSIST_EVERY_S = 0.5
SEND_WITHIN_S = 120.0
"""For one message, whatever its handler waits for. Writing down what came of it has no limit."""
EXPIRED = "It could not be delivered in time."
SUPERSEDED = "Another integration delivered it."
UNREADABLE = "Its stored settings cannot be read; set the integration up again."

log = get_logger(__name__)


@dataclass(frozen=True)
class Sent:
    """What follows a try. `completed` None: take up the next part, or find that none is left."""

    completed: Completed | None = None
    event: WorkItem | None = None
    falls_back: bool = False


class Sender:
    def __init__(self, database: Database, layers: Layers, accounts: Accounts) -> None:
        self._database = database
        self._layers = layers
        self._accounts = accounts

    async def send(self, taken: Taken, item: WorkItem, workers: Workers) -> Sent:
        """Raises RetryLater when the row is to come back later."""
        match taken.verdict:
            case "early":
                raise RetryLater("not due yet", after_s=max(0.0, taken.early_s), counted=False)
            case "paused":
                await deliveries.hurry(self._database, taken)
                raise RetryLater("its integration is paused", after_s=PAUSED_FOR_S, counted=False)
            case "expired":
                return await self._end(taken, Outcome(), InVain("expired", EXPIRED, counted=False), item, workers)
            case "superseded":
                return await self._end(taken, Outcome(), InVain("cancelled", SUPERSEDED, counted=False), item, workers)
            case _:
                return await self._try(taken, item, workers)

    async def _try(self, taken: Taken, item: WorkItem, workers: Workers) -> Sent:
        await fault("dispatcher.before_send", taken.delivery_id)
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                result = await self._deliver(taken)
        except DeliveryRejected as exc:
            outcome = Outcome(exc.code, safe_words(exc.words))
            end = InVain("failed", safe_words(exc.reason), disables=exc.disables)
            self._count(taken, "rejected")
            return await self._end(taken, outcome, end, item, workers)
        except NotUsable as exc:
            return await self._end(taken, Outcome(), InVain("failed", str(exc), counted=False), item, workers)
        except DeliveryPostponed as exc:
            await deliveries.untried(self._database, taken, exc.after_s)
            raise RetryLater(str(exc), after_s=exc.after_s, counted=False) from exc
        except DeliveryDelayed as exc:
            if exc.code is not None:  # without an answer nobody knows whether it has arrived
                await fault("dispatcher.refused", taken.delivery_id)
            self._count(taken, "delayed")
            return await self._after_failure(taken, exc, item, workers)
        except IntegrationPaused as exc:
            self._count(taken, "paused")
            refusal = await self._accounts.refused(IntegrationType(taken.integration), exc)
            await deliveries.refused(self._database, taken, refusal)
            await deliveries.hurry(self._database, taken)
            raise RetryLater(refusal.reason, after_s=PAUSED_FOR_S, counted=False) from exc
        await fault("dispatcher.sent_before_commit", taken.delivery_id)
        self._count(taken, "delivered")
        outcome, provider_id = Outcome(result.code), safe_id(result.provider_id)
        ended = await insist(lambda: deliveries.delivered(self._database, taken, outcome, provider_id, item, workers))
        await fault("dispatcher.committed", taken.delivery_id)
        return Sent(Completed(ended.lane_pending) if ended.is_ended else None, ended.event)

    async def _deliver(self, taken: Taken) -> Delivered:
        """Raises DeliveryDelayed, DeliveryRejected, NotUsable."""
        integration = IntegrationType(taken.integration)
        handler, effective = self._usable(integration, taken)
        refusal = effective.refusal_of_origin if taken.kind == "origin" else effective.refusal
        if refusal:
            raise NotUsable(refusal)
        try:
            config = self._layers.config(taken.user_id, integration, taken.stored)
        except (CannotDecrypt, ValidationError) as exc:
            log.error("settings_unreadable", integration=integration.value, cause=type(exc).__name__)
            raise NotUsable(UNREADABLE) from exc
        return await handler.deliver(_message(taken), config)

    def _usable(self, integration: IntegrationType, taken: Taken) -> tuple[IntegrationHandler, Effective]:
        handler = self._layers.handlers.get(integration)
        if handler is None:
            raise NotUsable(NOT_HERE)
        return handler, self._layers.effective(integration, taken.stored)

    async def _after_failure(self, taken: Taken, failure: DeliveryDelayed, item: WorkItem, workers: Workers) -> Sent:
        handler, effective = self._usable(IntegrationType(taken.integration), taken)
        step = next_step(
            handler.schedule,
            failures=taken.failures + 1,
            retry_count=effective.retry_count,
            first_delay_s=effective.retry_delay_s,
            left_s=taken.left_s,
            chance=random.random(),  # noqa: S311  # no secret
            asked_s=failure.retry_after_s,
        )
        reason = safe_words(failure.reason)
        outcome = Outcome(failure.code, safe_words(failure.words) if failure.code else reason)
        if not isinstance(step, TryAgain):
            end = InVain("expired" if step.is_expired else "failed", reason, outcome="delayed")
            return await self._end(taken, outcome, end, item, workers)
        leaves = item.key is not None and step.after_s > LANE_HOLD_S
        row = await deliveries.try_again(
            self._database, taken, outcome, deliveries.Again(reason, step.after_s, leave_lane=leaves), item, workers
        )
        if row.has_left_lane:
            return Sent(Completed(row.lane_pending))
        if not row.is_open:
            return Sent()
        raise RetryLater(reason, after_s=step.after_s, counted=False)

    async def _end(self, taken: Taken, outcome: Outcome, end: InVain, item: WorkItem, workers: Workers) -> Sent:
        ended: Ended = await deliveries.ended_in_vain(self._database, taken, outcome, end, item, workers)
        return Sent(Completed(ended.lane_pending), ended.event, falls_back=ended.is_ended)

    def _count(self, taken: Taken, result: str) -> None:
        DELIVERY_ATTEMPTS.labels(taken.integration, result).inc()


class NotUsable(Exception):
    """The integration was switched off, or its settings are gone, since the delivery was planned."""


async def insist[T](write: Callable[[], Awaitable[T]]) -> T:
    """Write down a success however long the database is away: otherwise the message would be sent again."""
    while True:
        try:
            return await write()
        except Unavailable:
            await asyncio.sleep(INSIST_EVERY_S)


def _message(taken: Taken) -> Message:
    message_id = str(taken.delivery_id) if taken.part == 1 else f"{taken.delivery_id}.{taken.part}"
    return Message(
        id=message_id,
        delivery_id=taken.delivery_id,
        part=taken.part,
        request_id=taken.request_id,
        user_id=taken.user_id,
        body=taken.body,
        sent_at=datetime.now(UTC),
        target=taken.target,
        attempt=taken.number,
    )
