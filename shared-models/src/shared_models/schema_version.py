"""Which schema this code was built for, without loading Alembic and SQLAlchemy into every service (30 MB each)."""

import asyncio
from pathlib import Path

import asyncpg

from shared_models.database import Database

VERSIONS = Path(__file__).parent / "migrations" / "versions"


def newest_version() -> str:
    """The newest migration's revision. Files are named `<revision>_<subject>.py`, revisions are numbers of four digits."""
    return max(path.name[:4] for path in VERSIONS.glob("[0-9][0-9][0-9][0-9]_*.py"))


async def is_current(database: Database) -> bool:
    """True when the schema is at least the one this code was built for (readiness)."""
    found = await database.fetchval("select version_num from alembic_version")
    return isinstance(found, str) and found >= newest_version()


def is_up_to_date(database_url: str) -> bool:
    """For a program without an event loop: False also for an empty database. Raises OSError, Unavailable."""

    async def look() -> bool:
        database = Database(database_url, pool_size=1)
        await database.open()
        try:
            return await is_current(database)
        except asyncpg.UndefinedTableError:
            return False
        finally:
            await database.close()

    return asyncio.run(look())
