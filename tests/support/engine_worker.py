"""A process that runs one work queue and writes each handled row down: `python -m tests.support.engine_worker URL`."""

import asyncio
import random
import sys

from shared_models.database import Database
from shared_models.enums import ServiceName
from shared_models.logging import configure_logging
from shared_models.work_item import RetryLater, RetryPolicy, WorkItem
from shared_models.work_queue import WorkQueue
from shared_models.worker import Worker

QUEUE = "request-manager.requests"


async def run(database_url: str) -> None:
    database = Database(database_url, pool_size=4)
    await database.open()
    worker = Worker(database, ServiceName.REQUEST_MANAGER)
    await worker.start()

    async def handle(item: WorkItem) -> None:
        if random.random() < 0.05:
            raise RetryLater("a scripted failure", after_s=0.01)
        await database.execute("insert into effects (key, number) values ($1, $2)", item.key, item.payload["number"])

    queue = WorkQueue(database, worker.id, QUEUE, handle, concurrency=16, retry=RetryPolicy(attempts=50))
    queue.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    configure_logging("engine-worker", level="ERROR", stream=sys.stderr)
    asyncio.run(run(sys.argv[1]))
