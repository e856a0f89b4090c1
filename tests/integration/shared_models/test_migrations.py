"""Migrations match the tables, go down and up again, and grant each service only its own tables."""

import asyncio
import os
import sys
from collections.abc import Callable

import asyncpg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from shared_models.database import Database, asyncpg_url
from shared_models.migrate import LOCK_ID, alembic_config
from shared_models.schema_version import is_current, is_up_to_date, newest_version
from shared_models.tables.all import Base
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.support.database import superuser
from tests.support.waiting import eventually


def sqlalchemy_url(database_url: str) -> str:
    return asyncpg_url(database_url).replace("postgresql://", "postgresql+asyncpg://", 1)


async def run_sync[T](database_url: str, step: Callable[[Connection], T]) -> T:
    engine = create_async_engine(sqlalchemy_url(database_url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            result = await connection.run_sync(step)
            await connection.commit()
            return result
    finally:
        await engine.dispose()


async def test_the_migrations_make_exactly_the_described_tables(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[object] = list(compare_metadata(context, Base.metadata))
        return found

    assert await run_sync(database_url, differences) == []


async def test_every_migration_goes_down_and_up_again(database_url: str) -> None:
    def down_and_up(connection: Connection) -> None:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        command.upgrade(config, "head")

    await run_sync(database_url, down_and_up)


async def test_a_second_upgrade_changes_nothing(database_url: str) -> None:
    def upgrade(connection: Connection) -> None:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    await run_sync(database_url, upgrade)


WRITABLE = """
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname = 'public'
  and (has_table_privilege($1, c.oid, 'insert') or has_table_privilege($1, c.oid, 'update')
       or has_table_privilege($1, c.oid, 'delete') or has_table_privilege($1, c.oid, 'select'))
"""
SHARED = {"workers", "lanes", "work_items", "alembic_version"}


async def test_no_two_services_reach_the_same_table(database_url: str) -> None:
    async with superuser(database_url) as connection:
        roles = ("ssa_request_manager", "ssa_agent_service", "ssa_integration_dispatcher")
        reach = {role: {row["relname"] for row in await connection.fetch(WRITABLE, role)} - SHARED for role in roles}
        everything = {
            row["relname"]
            for row in await connection.fetch(
                "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
            )
        }
    assert sum(len(tables) for tables in reach.values()) == len(set().union(*reach.values()))
    assert set().union(*reach.values()) | SHARED == everything


async def test_the_version_named_without_alembic_is_the_one_of_the_database(database_url: str) -> None:
    database = Database(database_url)
    await database.open()
    assert await is_current(database)
    assert await database.fetchval("select version_num from alembic_version") == newest_version()
    await database.execute("update alembic_version set version_num = '0001'")
    assert not await is_current(database)
    await database.close()


def test_a_program_without_a_loop_can_ask_whether_to_migrate(database_url: str, empty_database_url: str) -> None:
    assert is_up_to_date(database_url)
    assert not is_up_to_date(empty_database_url)


async def test_a_second_migration_waits_for_the_first(empty_database_url: str) -> None:
    """Two jobs, as after a retried hook; the first is stood for by its lock, so that it lasts as long as needed."""
    first = await asyncpg.connect(asyncpg_url(empty_database_url))
    await first.execute("select pg_advisory_lock($1)", LOCK_ID)
    command_line = [sys.executable, "-m", "shared_models.migrate"]
    env = os.environ | {"DATABASE_URL": empty_database_url}
    jobs = [await asyncio.create_subprocess_exec(*command_line, env=env) for _ in range(2)]

    async def both_wait() -> bool:
        waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted and database = $1"
        here = await first.fetchval("select oid from pg_database where datname = current_database()")
        return bool(await first.fetchval(waiting, here) == len(jobs))

    await eventually(both_wait)
    assert [job.returncode for job in jobs] == [None, None]
    assert await first.fetchval("select to_regclass('work_items')") is None
    await first.execute("select pg_advisory_unlock($1)", LOCK_ID)
    assert [await asyncio.wait_for(job.wait(), timeout=300) for job in jobs] == [0, 0]
    assert await first.fetchval("select version_num from alembic_version") == newest_version()
    await first.close()
