"""The pool on real PostgreSQL: what is our mistake and what is the database's."""

import asyncpg
import pytest
from shared_models.database import Database
from shared_models.errors import Unavailable


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
