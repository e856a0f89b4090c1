"""Bring a database to the newest schema: `python -m shared_models.migrate [upgrade|downgrade REVISION|version]`.

Runs under an advisory lock, so a second migration at the same time waits for the first."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared_models.database import asyncpg_url
from shared_models.schema_version import newest_version
from shared_models.settings import secret_of_environment

LOCK_ID = 0x55A_0001


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(database_url: str, revision: str = "head") -> None:
    """Raises sqlalchemy.exc.DBAPIError or OSError when the database cannot be reached or refuses."""
    asyncio.run(_with_connection(database_url, lambda config: command.upgrade(config, revision)))


def downgrade(database_url: str, revision: str) -> None:
    asyncio.run(_with_connection(database_url, lambda config: command.downgrade(config, revision)))


async def _with_connection(database_url: str, step: Callable[[Config], None]) -> None:
    url = asyncpg_url(database_url).replace("postgresql://", "postgresql+asyncpg://", 1).replace("sslmode=", "ssl=")
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_locked, step)
            await connection.commit()
    finally:
        await engine.dispose()


def _locked(connection: Connection, step: Callable[[Config], None]) -> None:
    connection.execute(text("select pg_advisory_lock(:id)"), {"id": LOCK_ID})
    try:
        config = alembic_config()
        config.attributes["connection"] = connection
        step(config)
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(text("select pg_advisory_unlock(:id)"), {"id": LOCK_ID})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", nargs="?", default="upgrade", choices=["upgrade", "downgrade", "version"])
    parser.add_argument("revision", nargs="?", default="head")
    options = parser.parse_args()
    if options.action == "version":
        sys.stdout.write(newest_version() + "\n")
        return 0
    database_url = secret_of_environment("DATABASE_URL")
    if not database_url:
        sys.stderr.write(
            "DATABASE_URL is not set (nor a file of this name in SECRETS_DIR): give the database to migrate, for example postgresql://user@host/name\n"
        )
        return 1
    action = upgrade if options.action == "upgrade" else downgrade
    action(database_url, options.revision)
    return 0


if __name__ == "__main__":
    sys.exit(main())
