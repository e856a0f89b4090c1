"""A database as request-manager sees it, and a worker with queues on it."""

from collections.abc import AsyncIterator

import pytest
from shared_models.database import Database
from shared_models.enums import ServiceName
from shared_models.worker import Worker

from tests.support.queues import Queues


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, role="ssa_request_manager")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def worker(database: Database) -> AsyncIterator[Worker]:
    worker = Worker(database, ServiceName.REQUEST_MANAGER)
    await worker.start()
    yield worker
    await worker.stop()


@pytest.fixture
async def queues(database: Database, worker: Worker) -> AsyncIterator[Queues]:
    queues = Queues(database, worker)
    yield queues
    for queue in queues.started:
        await queue.stop()
