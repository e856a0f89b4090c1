"""Real PostgreSQL for tests: one throw-away cluster per run, one migrated template, a fresh database per test."""

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest
from local_stack.postgres import FOR_TESTS, ClusterOptions, PostgresCluster
from shared_models import migrate
from shared_models.database import asyncpg_url

TEMPLATE = "migrated"
MAX_CONNECTIONS = "200"


def run_sql(url: str, *statements: str) -> None:
    """Run statements one by one in autocommit, from any context: an event loop of its own in a thread of its own."""

    async def run() -> None:
        connection = await asyncpg.connect(url, timeout=60, command_timeout=60)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, run()).result()


@asynccontextmanager
async def superuser(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside the services, which may do everything."""
    connection = await asyncpg.connect(asyncpg_url(url))
    try:
        yield connection
    finally:
        await connection.close()


@contextmanager
def throwaway_cluster(port: int | None = None, **more: str) -> Iterator[PostgresCluster]:
    """A cluster in a temporary folder that trades durability for speed; gone afterwards, also when the run is killed.

    `port`: for a cluster that is started again. `more`: further settings of the server."""
    # Not pytest's temporary folder: as root the server runs as nobody, who cannot enter that.
    folder = Path(tempfile.mkdtemp(prefix="ssa-tests-"))
    folder.chmod(0o755)
    settings = FOR_TESTS | {"max_connections": MAX_CONNECTIONS, "shared_preload_libraries": "pg_stat_statements"} | more
    options = ClusterOptions(port=port, settings=tuple(settings.items()))
    cluster = PostgresCluster(folder / "cluster", log=folder / "postgres.log", options=options)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@contextmanager
def temporary_database(cluster: PostgresCluster, template: str) -> Iterator[str]:
    """The URL of a copy of `template`, dropped afterwards even if somebody is still connected."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    run_sql(cluster.url("postgres"), f"create database {name} template {template}")
    try:
        yield cluster.url(name)
    finally:
        run_sql(cluster.url("postgres"), f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """One cluster for the whole run, started by the first test that asks for it."""
    with throwaway_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def migrated_template(postgres_cluster: PostgresCluster) -> str:
    """The name of a database with the newest schema, to be copied."""
    run_sql(postgres_cluster.url("postgres"), f"create database {TEMPLATE}")
    url = postgres_cluster.url(TEMPLATE)
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(migrate.upgrade, url).result()
    run_sql(postgres_cluster.url("postgres"), f"alter database {TEMPLATE} is_template true allow_connections false")
    return TEMPLATE


@pytest.fixture
def database_url(postgres_cluster: PostgresCluster, migrated_template: str) -> Iterator[str]:
    """A fresh database with the newest schema for one test, as its superuser."""
    with temporary_database(postgres_cluster, migrated_template) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """A fresh database without any schema, for tests of the migrations."""
    with temporary_database(postgres_cluster, "template0") as url:
        yield url
