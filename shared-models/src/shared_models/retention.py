"""Removing what has had its time: one job per service, in batches, found by index.

Over the services the order is deliveries, runs, requests, conversations, an hour apart. What a late event could bring
about a second time leaves a row without content behind, which lives as long as the records do."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from shared_models.database import Database
from shared_models.dead_letters import PURGED
from shared_models.enums import ServiceName
from shared_models.errors import Unavailable
from shared_models.logging import get_logger
from shared_models.settings import ServiceSettings
from shared_models.telemetry import ROWS_REMOVED

BATCH = 1000
EVERY_S = 3600.0
FIRST_AFTER_S = 60.0
HOUR_IN_DAYS = 1 / 24

OLDER = "now() - $1::float8 * interval '1 day'"
FIRST_ID = f"(lpad(to_hex(floor(extract(epoch from {OLDER}) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid"
"""The smallest UUIDv7 of that moment: ids that are smaller are older, which their primary key finds."""

log = get_logger(__name__)


@dataclass(frozen=True)
class Removal:
    """One statement that removes up to BATCH things older than `after_days` ($1) and returns how many."""

    what: str
    sql: str
    after_days: float


def deletion(table: str, key: str, which: str) -> str:
    """The SQL of a Removal that deletes rows of `table t`: `which` are its conditions and order, `key` its columns."""
    return _in_batches(table, key, which, f"delete from {table} t using old")


def emptying(table: str, key: str, which: str, values: str) -> str:
    """As `deletion`, for rows that stay: their `values` are set. `which` must not hold any more after that."""
    return _in_batches(table, key, which, f"update {table} t set {values} from old")


def _in_batches(table: str, key: str, which: str, effect: str) -> str:
    same = " and ".join(f"t.{column} = old.{column}" for column in key.split(", "))
    return f"""
with old as (
  select {key} from {table} t where {which}
  limit {BATCH} for update skip locked
), done as ({effect} where {same} returning 1)
select count(*) from done
"""


class Retention:
    """Runs the removals of a service, in their order, every hour. Safe in every process at once."""

    def __init__(self, database: Database, removals: Sequence[Removal], *, every_s: float = EVERY_S) -> None:
        self._database = database
        self._removals = removals
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run_for_ever(), name="retention")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def run_once(self) -> dict[str, int]:
        """How many were removed of each. Raises Unavailable."""
        removed = {removal.what: await self._remove(removal) for removal in self._removals}
        if any(removed.values()):
            log.info("removed_after_retention", **{what: count for what, count in removed.items() if count})
        return removed

    async def _remove(self, removal: Removal) -> int:
        total = 0
        while True:
            count = await self._database.fetchval(removal.sql, removal.after_days)
            assert isinstance(count, int)
            total += count
            ROWS_REMOVED.labels(removal.what).inc(count)
            if count < BATCH:
                return total

    async def _run_for_ever(self) -> None:
        await asyncio.sleep(min(FIRST_AFTER_S, self._every_s))
        while True:
            try:
                await self.run_once()
            except Unavailable:
                log.warning("retention_skipped", cause="database")
            except Exception:
                log.exception("retention_failed")
            await asyncio.sleep(self._every_s)


def of_every_service(service: ServiceName, settings: ServiceSettings) -> list[Removal]:
    """What each service has of its own: dead letters."""
    old = f"dead_at is not null and dead_at < {OLDER} and split_part(queue, '.', 1) = '{service.value}'"
    content = emptying(
        "work_items",
        "id",
        f"{old} and not payload ? '{PURGED}' order by dead_at, id",
        f"""payload = jsonb_build_object('{PURGED}', true, 'event', case
    when jsonb_typeof(payload -> 'event') = 'object' then (payload -> 'event') - 'knativeerrordata'
    when payload ? 'specversion' then jsonb_strip_nulls(jsonb_build_object(
      'type', payload -> 'type', 'id', payload -> 'id', 'source', payload -> 'source', 'subject', payload -> 'subject',
      'requestid', payload -> 'extensions' -> 'requestid'))
    else '{{}}' end)""",
    )
    letters = deletion("work_items", "id", f"{old} order by dead_at, id")
    return [
        Removal("dead_letter_content", content, settings.dead_letter_content_days),
        Removal("dead_letters", letters, settings.dead_letter_days),
    ]
