"""Holds a service back while the schema is older than its code: alive, not ready, and nothing of it is started."""

import asyncio
from typing import Any

import asyncpg
import orjson
import uvicorn
from starlette.types import Receive, Scope, Send

from shared_models.database import Database
from shared_models.errors import Unavailable
from shared_models.logging import get_logger
from shared_models.schema_version import is_current, newest_version
from shared_models.settings import ProcessSettings, ServiceSettings

LOOK_EVERY_S = 1.0

log = get_logger(__name__)


async def wait_for_schema(settings: ProcessSettings, options: dict[str, Any]) -> None:
    """Return when the schema fits. Until then the service's port answers /livez with 200, all else with 503."""
    if not isinstance(settings, ServiceSettings) or not await _is_old(settings):
        return
    log.error("schema_is_old", needed=newest_version(), hint="run the migrations: python -m shared_models.migrate")
    config = uvicorn.Config(_not_ready, host=settings.host, port=settings.port, lifespan="off", **options)
    server = uvicorn.Server(config)
    watcher = asyncio.create_task(_end_when_migrated(settings, server), name="schema")
    try:
        await server.serve()  # a signal ends the process here
    finally:
        watcher.cancel()
    log.info("schema_fits")


async def _end_when_migrated(settings: ServiceSettings, server: uvicorn.Server) -> None:
    while await _is_old(settings):  # noqa: ASYNC110  # nobody else tells
        await asyncio.sleep(LOOK_EVERY_S)
    server.should_exit = True


async def _is_old(settings: ServiceSettings) -> bool:
    """Only where the database says so; what else is wrong with it, the start itself tells.

    Not in the service's role, which the first migration makes."""
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        await database.open()
        return not await is_current(database)
    except asyncpg.UndefinedTableError:
        return True
    except (OSError, TimeoutError, Unavailable, asyncpg.PostgresError):
        return False
    finally:
        await database.close()


async def _not_ready(scope: Scope, receive: Receive, send: Send) -> None:
    is_alive = scope["path"] == "/livez"
    body = orjson.dumps({"status": "alive" if is_alive else "not ready"})
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": 200 if is_alive else 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
