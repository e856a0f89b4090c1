"""`python -m local_stack.database_check`: whether the database of DATABASE_URL will do; prints what is wrong with it.

A program of its own, so that the runner need not load a database driver."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
from shared_models.database import asyncpg_url

from local_stack.external_database import EMBEDDED_HINT
from local_stack.problems import LaunchProblem
from local_stack.settings import UpSettings

CONNECT_TIMEOUT_S = 5.0
VECTOR_SQL = "select default_version from pg_available_extensions where name = 'vector'"


def check(url: str) -> None:
    """Raises LaunchProblem, one line without the password, when the database cannot be used."""
    asyncio.run(_check(asyncpg_url(url)))


async def _check(url: str) -> None:
    parts = urlsplit(url)
    place = f"{parts.hostname or 'the socket'}:{parts.port or 5432}"
    database = parts.path.lstrip("/")
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, command_timeout=CONNECT_TIMEOUT_S)
    except asyncpg.InvalidAuthorizationSpecificationError as exc:
        raise LaunchProblem(f"PostgreSQL at {place} refuses this user or password: correct DATABASE_URL") from exc
    except asyncpg.InvalidCatalogNameError as exc:
        raise LaunchProblem(
            f"PostgreSQL at {place} has no database {database}: create it, or correct DATABASE_URL"
        ) from exc
    except TimeoutError as exc:
        raise LaunchProblem(f"PostgreSQL at {place} does not answer: correct DATABASE_URL, or {EMBEDDED_HINT}") from exc
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        cause = getattr(exc, "strerror", None) or type(exc).__name__
        raise LaunchProblem(
            f"PostgreSQL at {place} cannot be reached ({cause}): correct DATABASE_URL, or {EMBEDDED_HINT}"
        ) from exc
    try:
        version = await connection.fetchval(VECTOR_SQL)
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)
    if not version:
        raise LaunchProblem(
            f"PostgreSQL at {place} has no pgvector: install it there (package postgresql-NN-pgvector), or {EMBEDDED_HINT}"
        )


def main() -> None:
    try:
        check(UpSettings().database_url.get_secret_value())
    except LaunchProblem as problem:
        print(problem)


if __name__ == "__main__":
    main()
