"""The broker's rows: one per event, with the names of the triggers that have not had it yet.

The schema is the broker's own and made by itself: it is no part of the product's database."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
from shared_models.database import UNREACHABLE, asyncpg_url
from shared_models.errors import Unavailable

from local_stack.broker.wire import Event

LOCK = 7_302_118_945
CONNECT_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 30.0
OWNER_TRIES = 40
OWNER_PAUSE_S = 0.25

SCHEMA = """
create schema if not exists local_broker;
create table if not exists local_broker.events (
    id bigint primary key,
    broker text not null,
    pending text[] not null,
    attributes json not null,
    data bytea not null
)
"""

INSERT = """
insert into local_broker.events (id, broker, pending, attributes, data)
select id, broker, string_to_array(pending, ' '), attributes::json, data
from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bytea[]) as new(id, broker, pending, attributes, data)
"""

COMPLETE = """
with done as (
    select event_id, array_agg(trigger) as triggers
    from unnest($1::bigint[], $2::text[]) as each(event_id, trigger) group by event_id
), gone as (
    delete from local_broker.events e using done d where e.id = d.event_id and e.pending <@ d.triggers
)
update local_broker.events e
set pending = array(select unnest(e.pending) except select unnest(d.triggers))
from done d where e.id = d.event_id and not e.pending <@ d.triggers
"""

LOAD = """
select id, attributes, data from local_broker.events
where id > $1 and broker = $2 and $3 = any(pending) order by id limit $4
"""


PRUNE = "delete from local_broker.events where not pending && $1::text[]"


class AnotherBroker(Exception):
    """Another process owns the broker's rows of this database."""


@dataclass(slots=True)
class Stored:
    """An event that is durable. Ids grow in the order of the commits."""

    id: int
    event: Event


@dataclass(slots=True)
class New:
    """An event to be stored for these triggers of a broker."""

    broker: str
    triggers: list[str]
    event: Event
    id: int = 0


class Link:
    """One connection, opened when needed and again after it broke. `prepare` runs on each new one."""

    def __init__(self, url: str, prepare: Callable[[Any], Awaitable[None]] | None = None) -> None:
        self._url = asyncpg_url(url)
        self._prepare = prepare
        self._lock = asyncio.Lock()
        self._connection: Any = None

    async def run[T](self, step: Callable[[Any], Awaitable[T]]) -> T:
        """One statement at a time. Raises Unavailable when the database cannot be reached; the outcome is then unknown."""
        async with self._lock:
            try:
                return await step(await self._open())
            except UNREACHABLE as exc:
                self.drop()
                raise Unavailable from exc

    def drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        async with self._lock:
            self.drop()

    async def _open(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            connection = await asyncpg.connect(
                self._url,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=STATEMENT_TIMEOUT_S,
                server_settings={
                    "application_name": "local-broker",
                    "jit": "off",
                    "enable_seqscan": "off",
                    "synchronous_commit": "on",  # also a deletion: a row that comes back would be delivered late
                },
            )
            try:
                if self._prepare is not None:
                    await self._prepare(connection)
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return self._connection


async def own(connection: Any) -> None:
    """Take the lock that makes this process the only broker, and make the schema. Raises AnotherBroker."""
    for _ in range(OWNER_TRIES):
        if await connection.fetchval("select pg_try_advisory_lock($1)", LOCK):
            await connection.execute(SCHEMA)
            return
        await asyncio.sleep(OWNER_PAUSE_S)
    raise AnotherBroker("another broker runs on this database; stop it, or give this one another database")


class Store:
    """The rows. Inserts and loads go over the connection that holds the lock, so only the owner makes them."""

    def __init__(self, url: str) -> None:
        self._owner = Link(url, own)
        self._cleaner = Link(url)

    async def is_ready(self) -> bool:
        """The database answers, and the rows are ours; connects again after a loss."""
        try:
            return bool(await self._owner.run(lambda db: db.fetchval("select true")))
        except (Unavailable, AnotherBroker):
            return False

    async def last_id(self) -> int:
        """The highest id that is stored; connects and takes the lock. Raises AnotherBroker, Unavailable."""
        sql = "select coalesce(max(id), 0) from local_broker.events"
        return int(await self._owner.run(lambda db: db.fetchval(sql)))

    async def prune(self, triggers: Sequence[str]) -> None:
        """Delete what waits for none of these triggers: the others have been taken out of the manifests."""
        await self._owner.run(lambda db: db.execute(PRUNE, list(triggers)))

    async def insert(self, batch: Sequence[New]) -> None:
        """Returns after the commit. Raises Unavailable: the rows may be there or not."""
        columns = (
            [new.id for new in batch],
            [new.broker for new in batch],
            [" ".join(new.triggers) for new in batch],
            [orjson.dumps(new.event.attributes).decode() for new in batch],
            [new.event.data for new in batch],
        )
        await self._owner.run(lambda db: db.execute(INSERT, *columns))

    async def load(self, broker: str, trigger: str, after_id: int, limit: int) -> list[Stored]:
        rows = await self._owner.run(lambda db: db.fetch(LOAD, after_id, broker, trigger, limit))
        return [Stored(row["id"], Event(orjson.loads(row["attributes"]), row["data"])) for row in rows]

    async def complete(self, done: Sequence[tuple[int, str]]) -> None:
        """Take the named triggers off these events; an event without any is deleted."""
        columns = ([event_id for event_id, _ in done], [trigger for _, trigger in done])
        await self._cleaner.run(lambda db: db.execute(COMPLETE, *columns))

    async def close(self) -> None:
        await self._owner.close()
        await self._cleaner.close()
