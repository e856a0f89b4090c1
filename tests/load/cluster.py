"""The database of a bench: an embedded cluster with the durability of production, in a folder of its own, gone afterwards."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from local_stack.postgres import ClusterOptions, PostgresCluster
from local_stack.postgres_folder import cluster_folder, system_state_homes

MUST_BE_ON = ("fsync", "synchronous_commit", "full_page_writes")
SETTINGS = {"shared_preload_libraries": "pg_stat_statements", "max_connections": "200"}


@contextmanager
def durable_cluster(work: Path) -> Iterator[PostgresCluster]:
    """A new cluster on the disk of `work`; fsync and synchronous_commit are checked to be on. Raises RuntimeError."""
    folder = cluster_folder(work / "database", system_state_homes(""))
    shutil.rmtree(folder, ignore_errors=True)
    options = ClusterOptions(settings=tuple(SETTINGS.items()))
    cluster = PostgresCluster(folder, log=work / "postgres.log", options=options)
    try:
        cluster.start()
        for name in MUST_BE_ON:
            if sql(cluster.url(), f"show {name}")[0][0] != "on":
                raise RuntimeError(f"{name} is off: the numbers would mean nothing")
        sql(cluster.url(), "create extension if not exists pg_stat_statements")
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def sql(url: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
    """Run one statement in autocommit and return its rows."""

    async def run(connection: asyncpg.Connection) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
        return found

    return with_connection(url, run)


def with_connection[T](url: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    async def run() -> T:
        connection = await asyncpg.connect(url, timeout=10, command_timeout=120)
        try:
            return await work(connection)
        finally:
            await connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, run()).result()
