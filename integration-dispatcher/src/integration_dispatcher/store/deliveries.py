"""Steps of one delivery: take it up, and write down what came of it. The statements stand in `delivery_statements.py`."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from shared_models.database import Database
from shared_models.work_item import WorkItem

from integration_dispatcher.store.configs import Stored, stored_of
from integration_dispatcher.store.delivery_statements import (
    DEAD_WITH_OPEN,
    DELIVERED,
    ENDED_IN_VAIN,
    EXPIRE,
    FIRST_OPEN,
    HURRY,
    REFUSED,
    TAKE_UP,
    TRY_AGAIN,
    UNTRIED,
)
from integration_dispatcher.store.names import DELIVERIES, EVENTS
from integration_dispatcher.store.states import Refusal

TAKEN_COLUMNS = (
    *("part", "request_id", "user_id", "integration", "kind", "target", "body", "failures", "verdict", "number"),
    *("left_s", "early_s"),
)


@dataclass(frozen=True)
class Taken:
    """A part that was taken up. `verdict`: send, early, expired or superseded."""

    delivery_id: UUID
    part: int
    request_id: UUID
    user_id: UUID
    integration: str
    kind: str
    target: str
    body: str
    failures: int
    verdict: str
    number: int
    left_s: float
    early_s: float
    stored: Stored


@dataclass(frozen=True)
class Outcome:
    """What a try came to, as the provider put it."""

    code: int | None = None
    words: str = ""


@dataclass(frozen=True)
class InVain:
    """The end of a part that was not delivered. `counted`: the provider has failed (and not a rule of ours)."""

    status: str
    reason: str
    outcome: str = "rejected"
    counted: bool = True
    disables: bool = False


@dataclass(frozen=True)
class Again:
    """`leave_lane`: the wait goes on in a row without order, so that nothing waits behind it."""

    reason: str
    after_s: float
    leave_lane: bool


@dataclass(frozen=True)
class Waiting:
    """`is_open` False: the delivery had been ended meanwhile."""

    is_open: bool
    has_left_lane: bool
    lane_pending: int


@dataclass(frozen=True)
class Workers:
    """Who holds the work item, and who takes the event at once (None: whoever claims it)."""

    deliveries: str
    events: str | None


@dataclass(frozen=True)
class Abandoned:
    """An open delivery whose queue row is dead: nobody works on it any more."""

    request_id: UUID
    item: WorkItem
    reason: str


@dataclass(frozen=True)
class Ended:
    """`is_ended` for a delivered part: it was the last one; for one in vain: the next integration is due.

    `event`: the row of the `delivery.*` event when it is leased to this worker."""

    is_ended: bool
    lane_pending: int
    event: WorkItem | None


async def take_up(db: Database, delivery_id: UUID) -> Taken | None:
    """The first open part, with a new attempt unless the verdict forbids; None when every part has ended."""
    row = await db.fetchrow(TAKE_UP, delivery_id)
    if row is None:
        return None
    return Taken(
        delivery_id=row["id"],
        **{name: row[name] for name in TAKEN_COLUMNS},
        stored=stored_of(row),
    )


async def delivered(
    db: Database, taken: Taken, outcome: Outcome, provider_id: str, item: WorkItem, worker: Workers
) -> Ended:
    """Write a success; with the last part also the event, the end of the twins and of the work item."""
    row = await db.fetchrow(DELIVERED, *_head(taken, outcome, item, worker), provider_id, worker.events, _trace(item))
    return _ended(row)


async def ended_in_vain(
    db: Database, taken: Taken, outcome: Outcome, end: InVain, item: WorkItem, worker: Workers
) -> Ended:
    """Write a final failure with its event, make the next integration due, complete the work item."""
    head = _head(taken, outcome, item, worker)
    tail = (worker.events, _trace(item), end.reason, int(end.counted), end.outcome, end.disables)
    return _ended(await db.fetchrow(ENDED_IN_VAIN, *head, end.status, *tail))


async def try_again(
    db: Database, taken: Taken, outcome: Outcome, again: Again, item: WorkItem, worker: Workers
) -> Waiting:
    """Write a failure that will be tried again."""
    head = list(_head(taken, outcome, item, worker))
    if not again.leave_lane:
        head[5] = None
    row = await db.fetchrow(TRY_AGAIN, *head, again.reason, again.after_s, _trace(item))
    assert row is not None
    return Waiting(**dict(row))


async def refused(db: Database, taken: Taken, refusal: Refusal) -> None:
    """Write down a try that the provider refused because of our account."""
    attempt = (taken.delivery_id, taken.part, taken.number)
    await db.execute(REFUSED, *attempt, refusal.code, refusal.words or refusal.reason, refusal.reason)


async def hurry(db: Database, taken: Taken) -> None:
    """Make the next integration of the plan due, if it has one."""
    await db.execute(HURRY, taken.delivery_id)


async def first_open(db: Database, delivery_id: UUID) -> Taken | None:
    """The first open part without a new attempt, only to end it."""
    row = await db.fetchrow(FIRST_OPEN, delivery_id)
    return Taken(**dict(row), verdict="", number=0, left_s=0, early_s=0, stored=Stored()) if row else None


async def abandoned(db: Database, after: UUID) -> list[Abandoned]:
    """A page of them: those of the requests that follow `after`."""
    return [
        Abandoned(row["request_id"], WorkItem(row["id"], DELIVERIES, None, row["ref"], row["payload"]), row["reason"])
        for row in await db.fetch(DEAD_WITH_OPEN, after)
    ]


async def expire(db: Database) -> int:
    """End what is overdue and that nobody is working on. Returns how many."""
    count = await db.fetchval(EXPIRE)
    return count if isinstance(count, int) else 0


def _head(taken: Taken, outcome: Outcome, item: WorkItem, worker: Workers) -> tuple[Any, ...]:
    part = (taken.delivery_id, taken.part, taken.number, outcome.code, outcome.words)
    return (*part, item.id or None, item.claim, worker.deliveries)


def _trace(item: WorkItem) -> str:
    return str(item.payload.get("trace", ""))


def _ended(row: asyncpg.Record | None) -> Ended:
    assert row is not None
    event = None
    if row["event_id"] is not None:
        event = WorkItem(row["event_id"], EVENTS, None, row["ref"], row["payload"], claim=row["event_claim"])
    return Ended(row["is_ended"], row["lane_pending"], event)


async def warm(db: Database) -> None:
    """Each statement of a delivery once, with nothing to do."""
    nobody, nothing = UUID(int=0), Outcome()
    taken = Taken(nobody, 1, nobody, nobody, "", "", "", "", 0, "", 0, 0.0, 0.0, Stored())
    item, workers = WorkItem(0, "", None, "", {}), Workers("", None)
    await take_up(db, nobody)
    await delivered(db, taken, nothing, "", item, workers)
    await ended_in_vain(db, taken, nothing, InVain("", ""), item, workers)
    await try_again(db, taken, nothing, Again("", 0.0, leave_lane=False), item, workers)


async def untried(db: Database, taken: Taken, after_s: float) -> None:
    """Take back a try that was not made: the provider is to be left alone for a while."""
    await db.execute(UNTRIED, taken.delivery_id, taken.part, taken.number, after_s)
