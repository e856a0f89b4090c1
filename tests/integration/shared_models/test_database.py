"""The pool on real PostgreSQL: what is our mistake and what is the database's."""

import asyncio

import asyncpg
import pytest
from shared_models.database import Database
from shared_models.errors import Unavailable

from tests.support.waiting import eventually


async def test_an_argument_that_fits_no_column_is_not_called_an_outage(database_url: str) -> None:
    database = Database(database_url)
    await database.open()
    try:
        with pytest.raises(asyncpg.DataError, match="int64"):
            await database.fetchval("select $1::bigint", 2**70)
    finally:
        await database.close()


async def test_a_closed_pool_is_an_outage(database_url: str) -> None:
    database = Database(database_url)
    await database.open()
    await database.close()
    with pytest.raises(Unavailable):
        await database.fetchval("select 1")


async def test_a_connection_that_breaks_in_the_middle_of_an_answer_is_an_outage(database_url: str) -> None:
    async def broken(_connection: object) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

    database = Database(database_url)
    await database.open()
    try:
        with pytest.raises(Unavailable):
            await database._run(broken)
    finally:
        await database.close()


async def test_a_step_runs_once_on_every_connection_of_the_pool(database_url: str) -> None:
    pids: list[object] = []

    async def note(each: Database) -> None:
        async with each.transaction() as tx:
            pids.append(await tx.fetchval("select pg_backend_pid()"))
        assert await each.fetchval("select pg_backend_pid()") in pids

    database = Database(database_url, pool_size=4)
    await database.open()
    try:
        await database.on_each_connection(note)
        assert len(set(pids)) == len(pids) == 4
        assert await database.fetchval("select pg_backend_pid()") in pids
    finally:
        await database.close()


async def test_a_connection_that_the_server_ended_is_not_used_again(database_url: str) -> None:
    database, other = Database(database_url, pool_size=1), Database(database_url, pool_size=1)
    await database.open()
    await other.open()
    try:
        ended = await database.fetchval("select pg_backend_pid()")
        await other.fetchval("select pg_terminate_backend($1, 5000)", ended)

        async def answers() -> bool:
            try:
                return await database.fetchval("select pg_backend_pid()") != ended
            except Unavailable:  # it has not been told yet
                return False

        await eventually(answers)
    finally:
        await database.close()
        await other.close()


async def test_more_callers_than_connections_are_all_served(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    await database.open()
    try:
        found = await asyncio.gather(*(database.fetchval("select $1::int", number) for number in range(20)))
        assert found == list(range(20))
        assert await database.fetchval("select 1") == 1
    finally:
        await database.close()


async def test_a_caller_that_gives_up_takes_no_connection_with_it(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    await database.open()
    try:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await database.fetchval("select pg_sleep(30)")
        assert await database.fetchval("select 1") == 1
    finally:
        await database.close()


async def test_a_statement_keeps_its_plan_whatever_it_was_called_with(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    await database.open()
    try:
        for number in range(3):
            await database.fetchval("select count(*) from pg_class where oid = any($1::oid[])", [number])
        plans = await database.fetchrow(
            "select generic_plans, custom_plans from pg_prepared_statements where starts_with(statement, $1)",
            "select count(*) from pg_class",
        )
        assert plans is not None
        assert tuple(plans) == (3, 0)
    finally:
        await database.close()


async def test_a_plan_made_while_a_table_was_all_but_empty_does_not_read_it_as_a_whole_later(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    await database.open()
    try:
        await database.execute("create temporary table grows (id int primary key)")
        await database.execute("insert into grows values (1)")
        await database.execute("analyze grows")
        plan = await database.fetch("explain select from grows where id = 1")
        assert "Seq Scan" not in str(plan)
    finally:
        await database.close()
