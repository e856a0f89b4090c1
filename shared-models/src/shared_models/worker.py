"""A process as the durable engine sees it: one `workers` row, kept alive. Whose row has run out has lost its leases."""

import asyncio
import os
import socket
import time
from contextlib import suppress
from typing import Any

import asyncpg

from shared_models.database import Database
from shared_models.enums import ServiceName
from shared_models.errors import Unavailable
from shared_models.ids import new_id
from shared_models.logging import get_logger
from shared_models.telemetry import LEASES_FREED

ALIVE_S = 10
RENEW_EVERY_S = 3
MOST_GRACE_S = 60
MAX_LOST = 5

log = get_logger(__name__)

# Returns how many seconds were left: null for a worker that was not registered.
RENEW = f"""
with renewed as (
  insert into workers (id, service, host, pid, alive_until) values ($1, $2, $3, $4, now() + interval '{ALIVE_S} seconds')
  on conflict (id) do update set alive_until = excluded.alive_until
)
select extract(epoch from alive_until - now())::float8 from workers where id = $1
"""

PREDECESSORS = "select id, pid from workers where service = $1 and host = $2 and id <> $3"
EXPIRE = "update workers set alive_until = now() where id = any($1::text[])"

# One reaper at a time per dead worker; rows in the order of their ids, as everywhere.
DEAD_WORKERS = """
select id from workers where alive_until < now() and ($1::text[] is null or id = any($1::text[]))
order by id limit 20 for update skip locked
"""
FREE_ITEMS = f"""
with lost as (
  select id from work_items where leased_by = any($1::text[]) order by id for update
), freed as (
  update work_items w
  set leased_by = null, lost = lost + 1,
      dead_at = case when lost + 1 >= {MAX_LOST} then now() end,
      last_error = case when lost + 1 >= {MAX_LOST} then 'its worker died {MAX_LOST} times' else last_error end
  from lost where w.id = lost.id
  returning w.queue, w.key, w.dead_at is not null as is_dead
), given_up as (
  select queue, key, count(*) as rows from freed where is_dead and key is not null group by queue, key
), lowered as (
  update lanes l set pending = l.pending - g.rows from given_up g where l.queue = g.queue and l.key = g.key
)
select count(*) from freed
"""
# A process that was paused may be declared dead, wake up, lease some more and die before it has registered again.
ORPHANS = """
select distinct leased_by from (
  select leased_by from work_items where leased_by is not null
  union all
  select leased_by from lanes where leased_by is not null
) held
where not exists (select from workers w where w.id = held.leased_by)
"""
FREE_LANES = "update lanes set leased_by = null, run_at = now() where leased_by = any($1::text[])"
FORGET = "delete from workers where id = any($1::text[])"

RELEASE_ITEMS = "update work_items set leased_by = null where leased_by = $1"
RELEASE_LANES = "update lanes set leased_by = null where leased_by = $1"


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Worker:
    """This process's lease holder. `id` is unique per start."""

    def __init__(self, database: Database, service: ServiceName, *, host: str = "") -> None:
        self._database = database
        self._service = service
        self._host = host or socket.gethostname()
        self.id = f"{service.value}@{self._host}#{new_id().hex[-12:]}"
        self._task: asyncio.Task[None] | None = None
        self._orphans: set[str] = set()
        self._looked_at = time.monotonic()
        self._waits_until = 0.0
        self._late_since: float | None = None

    async def start(self) -> None:
        """Register, free what a dead predecessor on this host left behind, then renew in the background."""
        await self._renew()
        await self._reap_predecessors()
        self._task = asyncio.create_task(self._keep_alive(), name="worker")

    async def stop(self) -> None:
        """Give every lease back, without counting it as lost."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(Unavailable):
            await self._database.execute(RELEASE_ITEMS, self.id)
            await self._database.execute(RELEASE_LANES, self.id)
            await self._database.execute(FORGET, [self.id])

    async def reap(self, among: list[str] | None = None) -> int:
        """Free the leases of dead workers (`among`: of these alone). Returns how many workers were dead."""
        async with self._database.transaction() as tx:
            dead = [row["id"] for row in await tx.fetch(DEAD_WORKERS, among)]
            freed = await self._free(tx, dead) if dead else 0
        if dead:
            log.warning("freed_leases_of_dead_workers", workers=dead, leases=freed)
        return len(dead)

    async def reap_orphans(self) -> int:
        """Free leases of workers that are not registered, found so twice in a row. Returns how many workers those were."""
        found = {row["leased_by"] for row in await self._database.fetch(ORPHANS)}
        gone, self._orphans = sorted(found & self._orphans), found
        if gone:
            async with self._database.transaction() as tx:
                freed = await self._free(tx, gone)
            log.warning("freed_leases_of_unknown_workers", workers=gone, leases=freed)
        return len(gone)

    async def _free(self, tx: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", workers: list[str]) -> int:
        freed = await tx.fetchval(FREE_ITEMS, workers)
        await tx.execute(FREE_LANES, workers)
        await tx.execute(FORGET, workers)
        LEASES_FREED.labels(self._service.value).inc(freed)
        return int(freed)

    async def beat(self) -> None:
        """Renew, and free what the dead hold; unless others are to be heard first."""
        await self._renew()
        now = time.monotonic()
        if self._late_since is not None and now < min(self._waits_until, self._late_since + MOST_GRACE_S):
            return
        self._late_since = None
        await self.reap()
        if now - self._looked_at >= ALIVE_S:
            self._looked_at = now
            await self.reap_orphans()

    async def _renew(self) -> None:
        """A worker that is new or was late first lets all others be heard: the database was away or the machine asleep, for them
        too. Where everybody is late again and again, it waits no longer than a minute."""
        left_s: Any = await self._database.fetchval(RENEW, self.id, self._service.value, self._host, os.getpid())
        if left_s is None or left_s < RENEW_EVERY_S:
            now = time.monotonic()
            self._waits_until = now + ALIVE_S
            self._late_since = now if self._late_since is None else self._late_since

    async def _reap_predecessors(self) -> None:
        """A process of this host that no longer runs needs no ten seconds. In a container the pid is the same each start."""
        rows = await self._database.fetch(PREDECESSORS, self._service.value, self._host, self.id)
        gone = [row["id"] for row in rows if row["pid"] == os.getpid() or not is_running(row["pid"])]
        if gone:
            await self._database.execute(EXPIRE, gone)
            await self.reap(gone)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                await self.beat()
            except Unavailable:
                log.warning("worker_renewal_failed", worker=self.id, cause="database")
            except Exception:
                log.exception("worker_renewal_failed", worker=self.id)
