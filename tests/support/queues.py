"""Work queues on a real database, which a test starts with its own handler."""

from collections.abc import Awaitable, Callable

from shared_models.database import Database
from shared_models.work_item import Completed, RetryPolicy, WorkItem
from shared_models.work_queue import WorkQueue
from shared_models.work_statements import enqueue
from shared_models.worker import Worker

QUEUE = "request-manager.requests"
FAST = RetryPolicy(attempts=3, base_s=0.001, cap_s=0.01)

ENQUEUE = f"""
with source as (
  select $1::text as queue, $2::text as key, null::bigint as seq, $3::text as ref, $4::jsonb as payload, $5::text as worker
), {enqueue("item", "source")}
select id, queue, key, claim, leased_by from item
"""

type Handler = Callable[[WorkItem], Awaitable[Completed | None]]


class Queues:
    """Starts queues and stops them at the end of the test."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self.database = database
        self.worker = worker
        self.started: list[WorkQueue] = []

    def start(
        self,
        handle: Handler,
        *,
        concurrency: int = 8,
        worker_id: str = "",
        forgotten_after_s: float = 15.0,
        suspects_wait_s: float = 10.0,
    ) -> WorkQueue:
        queue = WorkQueue(
            self.database,
            worker_id or self.worker.id,
            QUEUE,
            handle,
            concurrency=concurrency,
            retry=FAST,
            timeout_s=60,
            forgotten_after_s=forgotten_after_s,
            suspects_wait_s=suspects_wait_s,
        )
        queue.start()
        self.started.append(queue)
        return queue

    async def put(self, ref: str, *, key: str | None = None, queue: WorkQueue | None = None) -> int:
        leased_to = queue.lease() if queue else None
        row = await self.database.fetchrow(ENQUEUE, QUEUE, key, ref, {"ref": ref}, leased_to)
        assert row is not None
        if queue and row["leased_by"] == leased_to and leased_to:
            queue.hand_off(WorkItem(row["id"], QUEUE, key, ref, {"ref": ref}, claim=row["claim"]))
        item_id: int = row["id"]
        return item_id

    async def is_empty(self) -> bool:
        return await self.database.fetchval("select count(*) from work_items where dead_at is null") == 0

    async def pending(self) -> object:
        return await self.database.fetchval("select coalesce(sum(pending), 0) from lanes")
