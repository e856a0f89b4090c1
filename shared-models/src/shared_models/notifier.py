"""Telling other processes that there is work."""

import asyncio

import asyncpg

from shared_models.database import Database
from shared_models.errors import Unavailable
from shared_models.logging import get_logger

WAKE_CHANNEL = "ssa_work"

log = get_logger(__name__)


class Notifier:
    """Tells other processes that there is work: NOTIFY alone in its own statement, at most one under way, coalesced.

    A NOTIFY inside a business transaction holds a server-wide lock until its flush is done."""

    def __init__(self, database: Database, channel: str = WAKE_CHANNEL) -> None:
        self._database = database
        self._channel = channel
        self._payloads: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def notify(self, payload: str) -> None:
        self._payloads.add(payload)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send(), name=f"notify {self._channel}")

    async def close(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task], timeout=2)

    async def _send(self) -> None:
        while self._payloads:
            payloads, self._payloads = list(self._payloads), set()
            try:
                await self._database.execute(
                    "select pg_notify($1, payload) from unnest($2::text[]) payload", self._channel, payloads
                )
            except (Unavailable, asyncpg.PostgresError) as exc:
                # Everybody polls as well, so a lost wake-up costs seconds, not work.
                log.warning("notify_failed", cause=type(exc).__name__)
