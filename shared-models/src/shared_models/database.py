"""The connection pool and the LISTEN connection. Every statement is text with $1 parameters, sent in autocommit.

SQLAlchemy describes the tables and drives the migrations; statements go to asyncpg directly, because a session per step
costs 10 ms of CPU per request."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import orjson

from shared_models.errors import Unavailable
from shared_models.logging import get_logger
from shared_models.settings import ServiceSettings

RETRIED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
CONFLICT_TRIES = 3
ACQUIRE_TIMEOUT_S = 10.0
# At the start imports hold up the loop, and a busy server is slow to take connections.
FIRST_ACQUIRE_TIMEOUT_S = 60.0
STATEMENT_TIMEOUT_S = 30.0
# Whatever the driver or a pooler in between does: a caller that waits for ever holds a lease for ever.
STEP_TIMEOUT_S = ACQUIRE_TIMEOUT_S + STATEMENT_TIMEOUT_S + 5.0
TRANSACTION_TIMEOUT_S = 120.0
UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # "another operation is in progress": the server died in the middle of an answer
)

log = get_logger(__name__)


def asyncpg_url(url: str) -> str:
    """The same database as asyncpg wants it: scheme postgresql, `sslmode` kept, SQLAlchemy's driver suffix dropped."""
    parts = urlsplit(url)
    query = [("sslmode" if name == "ssl" else name, value) for name, value in parse_qsl(parts.query)]
    return urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query), ""))


async def _set_codecs(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda value: orjson.loads(value[1:]),
        format="binary",
    )


async def _keep(_connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """No reset query: statements run in autocommit and leave no state; a failed transaction ends with its block."""


class Database:
    """A pool of connections in the role of one service. Open with `open()`, close with `close()`."""

    def __init__(self, url: str, *, role: str = "", pool_size: int = 8, statement_cache: int = 100) -> None:
        self._url = asyncpg_url(url)
        self._role = role
        self._pool_size = pool_size
        self._statement_cache = statement_cache
        self._pool: asyncpg.Pool | None = None
        self._at_hand: list[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]] = []
        self._waiting = 0
        self._is_closing = False

    @classmethod
    def of(cls, settings: ServiceSettings, *, pool_size: int | None = None) -> "Database":
        """`pool_size`: another one than the settings'."""
        return cls(
            settings.database_url.get_secret_value(),
            role=settings.database_role,
            pool_size=pool_size or settings.database_pool_size,
            statement_cache=settings.database_statement_cache,
        )

    async def open(self) -> None:
        """Connect. Raises OSError or asyncpg.PostgresError."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=min(2, self._pool_size),
            max_size=self._pool_size,
            max_inactive_connection_lifetime=300,
            command_timeout=STATEMENT_TIMEOUT_S,
            statement_cache_size=self._statement_cache,
            server_settings=self._server_settings(),
            init=_set_codecs,
            reset=_keep,
        )

    def _server_settings(self) -> dict[str, str]:
        settings = {"application_name": self._role or "self-service-agent", "jit": "off"}
        # One plan per statement and connection. Left to choose, the server plans our large statements anew at each call:
        # it takes a batch for smaller once it has seen it. That is a third of what one request alone takes.
        settings["plan_cache_mode"] = "force_generic_plan"
        # Such a plan outlives what it was made for: a table that was all but empty then is not to be read as a whole since.
        settings["enable_seqscan"] = "off"
        if self._role:
            settings["role"] = self._role
        return settings

    async def close(self) -> None:
        if self._pool is not None:
            self._is_closing = True
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    while self._at_hand:
                        await self._pool.release(self._at_hand.pop())
                    await self._pool.close()
            self._pool.terminate()

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        return await self._run(lambda db: db.fetch(sql, *args))

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        return await self._run(lambda db: db.fetchrow(sql, *args))

    async def fetchval(self, sql: str, *args: object) -> object:
        return await self._run(lambda db: db.fetchval(sql, *args))

    async def execute(self, sql: str, *args: object) -> str:
        return await self._run(lambda db: db.execute(sql, *args))

    async def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        await self._run(lambda db: db.executemany(sql, rows))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        """A transaction, where two statements are needed. Never keep it open during an outside call.

        Raises Unavailable when the database cannot be reached."""
        try:
            async with (
                asyncio.timeout(TRANSACTION_TIMEOUT_S),
                self._lent() as connection,
                connection.transaction(),
            ):
                yield connection
        except UNREACHABLE as exc:
            raise Unavailable from exc

    async def on_each_connection(self, step: "Callable[[Database], Awaitable[None]]") -> None:
        """Open the whole pool and run `step` on every connection of it, so that each has prepared and planned its statements.

        Raises Unavailable, and what `step` raises."""
        try:
            async with AsyncExitStack() as stack:
                lent = [self._lent(FIRST_ACQUIRE_TIMEOUT_S) for _ in range(self._pool_size)]
                pinned = [_Pinned(await stack.enter_async_context(each)) for each in lent]
                await asyncio.gather(*(step(each) for each in pinned))
        except UNREACHABLE as exc:
            raise Unavailable from exc

    async def _run[T](self, step: "Callable[[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]], Awaitable[T]]") -> T:
        """One statement in autocommit; a deadlock or serialization failure is tried again, as the statement left nothing."""
        for last in (False,) * (CONFLICT_TRIES - 1) + (True,):
            try:
                async with asyncio.timeout(STEP_TIMEOUT_S), self._lent() as connection:
                    return await step(connection)
            except RETRIED:
                if last:
                    raise
            except UNREACHABLE as exc:
                raise Unavailable from exc
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def _lent(
        self, within_s: float = ACQUIRE_TIMEOUT_S
    ) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        """A connection of the pool. After good use it is kept at hand for the next, unless somebody waits at the pool.

        Going through the pool each time makes a task and costs as much as sending a statement."""
        connection = await self._taken(within_s)
        try:
            yield connection
        except BaseException:
            await self._open_pool().release(connection)
            raise
        if self._waiting or self._is_closing or connection.is_closed():
            await self._open_pool().release(connection)
        else:
            self._at_hand.append(connection)

    async def _taken(self, within_s: float) -> "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]":
        pool = self._open_pool()
        while self._at_hand:
            connection = self._at_hand.pop()
            if not connection.is_closed():
                return connection
            await pool.release(connection)
        self._waiting += 1
        try:
            return await pool.acquire(timeout=within_s)
        finally:
            self._waiting -= 1

    def _open_pool(self) -> asyncpg.Pool:
        if self._pool is None:
            raise Unavailable
        return self._pool


class _Pinned(Database):
    """One connection of a pool in the place of the pool."""

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
        self._connection = connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        async with self._connection.transaction():
            yield self._connection

    async def _run[T](self, step: "Callable[[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]], Awaitable[T]]") -> T:
        return await step(self._connection)


class Listener:
    """LISTEN on its own connection, reconnecting for ever.

    `on_notify(channel, payload)` for each notification; `on_gap()` after each (re)connect, as notifications may have been
    missed. With pgbouncer give `DATABASE_LISTEN_URL`, a direct connection."""

    def __init__(
        self, url: str, channels: Sequence[str], *, on_notify: Callable[[str, str], None], on_gap: Callable[[], None]
    ) -> None:
        self._url = asyncpg_url(url)
        self._channels = channels
        self._on_notify = on_notify
        self._on_gap = on_gap
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="listener")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as exc:
                log.warning("listen_connection_lost", cause=type(exc).__name__)
            self.connected.clear()
            await asyncio.sleep(1)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._url, timeout=10, command_timeout=10)
        try:
            for channel in self._channels:
                await connection.add_listener(channel, self._receive)
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _connection: lost.set())
            self.connected.set()
            self._on_gap()
            while not lost.is_set():
                # A half-open connection says nothing for ever: ask now and then.
                with suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), timeout=30)
                if not lost.is_set():
                    await connection.execute("select 1")
        finally:
            connection.terminate()

    def _receive(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        self._on_notify(channel, str(payload))
