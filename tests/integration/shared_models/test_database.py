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
