"""The durable engine on real PostgreSQL: order per key, retries, leases, fencing, dead letters."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from shared_models.database import Database
from shared_models.enums import ServiceName
from shared_models.errors import InvalidRequest, UpstreamUnavailable
from shared_models.work_item import Completed, GiveUp, RetryLater, RetryPolicy, WorkItem
from shared_models.work_queue import WorkQueue
from shared_models.work_statements import REMOVE_IDLE_LANES, complete, enqueue, replay
from shared_models.worker import Worker

from tests.support.waiting import eventually

QUEUE = "request-manager.requests"
FAST = RetryPolicy(attempts=3, base_s=0.001, cap_s=0.01)

ENQUEUE = f"""
with source as (
  select $1::text as queue, $2::text as key, null::bigint as seq, $3::text as ref, $4::jsonb as payload, $5::text as worker
), {enqueue("item", "source")}
select id, queue, key, claim, leased_by from item
"""

type Handler = Callable[[WorkItem], Awaitable[Completed | None]]


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
            timeout_s=5,
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


@pytest.fixture
async def queues(database: Database, worker: Worker) -> AsyncIterator[Queues]:
    queues = Queues(database, worker)
    yield queues
    for queue in queues.started:
        await queue.stop()


async def test_a_handed_off_row_runs_without_being_claimed(queues: Queues) -> None:
    seen: list[WorkItem] = []

    async def handle(item: WorkItem) -> None:
        seen.append(item)

    queue = queues.start(handle)
    await queues.put("a", key="k", queue=queue)
    await eventually(queues.is_empty)
    assert [(item.ref, item.claim) for item in seen] == [("a", 1)]
    assert await queues.pending() == 0


async def test_rows_of_one_key_run_one_at_a_time_in_their_order(queues: Queues) -> None:
    order: dict[str, list[int]] = {}
    running: set[str] = set()

    async def handle(item: WorkItem) -> None:
        assert item.key is not None
        assert item.key not in running
        running.add(item.key)
        await asyncio.sleep(random.random() * 0.003)
        if random.random() < 0.1:
            running.discard(item.key)
            raise RetryLater("again", after_s=0.0, counted=False)
        order.setdefault(item.key, []).append(int(item.ref))
        running.discard(item.key)

    first, second = queues.start(handle), queues.start(handle)

    async def write(key: str) -> None:
        for number in range(30):
            await queues.put(str(number), key=key, queue=random.choice([first, second, None]))
            first.wake()

    await asyncio.gather(*(write(f"key {number}") for number in range(12)))
    first.wake()
    await eventually(queues.is_empty)
    assert order == {f"key {number}": list(range(30)) for number in range(12)}
    assert await queues.pending() == 0


async def test_a_failing_first_row_holds_its_key_but_not_the_others(queues: Queues) -> None:
    done: list[str] = []
    is_open = asyncio.Event()

    async def handle(item: WorkItem) -> None:
        if item.ref == "stuck" and not is_open.is_set():
            raise RetryLater("not yet", after_s=0.01, counted=False)
        done.append(item.ref)

    queue = queues.start(handle)
    await queues.put("stuck", key="a")
    await queues.put("behind", key="a")
    await queues.put("free", key="b")
    queue.wake()
    await eventually(lambda: asyncio.sleep(0, done == ["free"]))
    is_open.set()
    await eventually(queues.is_empty)
    assert done == ["free", "stuck", "behind"]


async def test_failures_are_counted_and_end_as_a_dead_letter_that_can_be_replayed(queues: Queues) -> None:
    tries: list[int] = []
    dead: list[str] = []
    is_mended = False

    async def handle(item: WorkItem) -> None:
        tries.append(item.attempts)
        if not is_mended:
            raise UpstreamUnavailable("neighbour down")

    async def on_dead(item: WorkItem, reason: str) -> None:
        dead.append(reason)

    queue = WorkQueue(queues.database, queues.worker.id, QUEUE, handle, retry=FAST, on_dead=on_dead)
    queues.started.append(queue)
    queue.start()
    item_id = await queues.put("a", key="k")
    behind = await queues.put("b", key="k")
    queue.wake()
    await eventually(lambda: asyncio.sleep(0, len(dead) == 2))
    assert tries == [0, 1, 2, 0, 1, 2]
    assert dead[0] == "UpstreamUnavailable: neighbour down"
    assert await queues.pending() == 0
    is_mended = True
    assert await replay(queues.database, item_id, [QUEUE])
    assert not await replay(queues.database, item_id, [QUEUE])
    assert not await replay(queues.database, behind, ["agent-service.runs"])
    queue.wake()
    await eventually(queues.is_empty)
    assert tries[-1] == 0
    assert await queues.database.fetchval("select count(*) from work_items") == 1


@pytest.mark.parametrize("error", [GiveUp("never"), InvalidRequest("never")])
async def test_a_final_error_is_not_tried_again(queues: Queues, error: Exception) -> None:
    tries: list[str] = []

    async def handle(item: WorkItem) -> None:
        tries.append(item.ref)
        raise error

    queue = queues.start(handle)
    await queues.put("a", key="k", queue=queue)
    await eventually(queues.is_empty)
    assert tries == ["a"]


async def test_a_late_worker_changes_nothing(queues: Queues) -> None:
    item_id = await queues.put("a", key="k")
    seen: list[WorkItem] = []
    is_claimed, may_go_on = asyncio.Event(), asyncio.Event()

    async def handle(item: WorkItem) -> None:
        seen.append(item)
        is_claimed.set()
        await may_go_on.wait()

    queues.start(handle)
    await is_claimed.wait()
    # The lease is lost and another worker has taken the row meanwhile.
    await queues.database.execute("update work_items set leased_by = 'other', claim = claim + 1 where id = $1", item_id)
    await queues.database.execute("update lanes set leased_by = 'other'")
    may_go_on.set()
    await eventually(lambda: asyncio.sleep(0, queues.started[0].is_idle))
    row = await queues.database.fetchrow("select leased_by, claim from work_items where id = $1", item_id)
    assert row is not None
    assert (row["leased_by"], row["claim"]) == ("other", 2)
    assert await queues.pending() == 1


async def test_a_dead_workers_rows_are_freed_and_counted_as_lost(queues: Queues, database: Database) -> None:
    dead = Worker(database, ServiceName.REQUEST_MANAGER, host="elsewhere")
    await database.execute(
        "insert into workers (id, service, host, pid, alive_until) values ($1, 'request-manager', 'elsewhere', 1, now() - interval '1 s')",
        dead.id,
    )
    row = await database.fetchrow(ENQUEUE, QUEUE, "k", "a", {}, dead.id)
    assert row is not None
    assert await queues.worker.reap() == 1
    seen: list[int] = []

    async def handle(item: WorkItem) -> None:
        seen.append(item.lost)

    queues.start(handle)
    await eventually(queues.is_empty)
    assert seen == [1]
    assert await database.fetchval("select count(*) from workers where id = $1", dead.id) == 0


async def test_a_live_workers_rows_stay_its_own(queues: Queues, database: Database) -> None:
    await database.fetchrow(ENQUEUE, QUEUE, "k", "a", {}, queues.worker.id)
    assert await queues.worker.reap() == 0
    assert await database.fetchval("select leased_by from work_items") == queues.worker.id


async def test_a_row_that_lost_its_worker_five_times_is_given_up(queues: Queues, database: Database) -> None:
    for _ in range(5):
        await database.execute(
            "insert into workers (id, service, host, pid, alive_until) values ('gone', 'x', 'y', 1, now() - interval '1 s')"
        )
        if await database.fetchval("select count(*) from work_items") == 0:
            await database.fetchrow(ENQUEUE, QUEUE, "k", "poison", {}, "gone")
        await database.execute("update work_items set leased_by = 'gone'")
        await database.execute("update lanes set leased_by = 'gone'")
        await queues.worker.reap()
    assert await database.fetchval("select lost from work_items where dead_at is not null") == 5
    assert await queues.pending() == 0


async def test_an_answer_clears_a_row_of_the_suspicion_that_it_kills(queues: Queues, database: Database) -> None:
    async def handle(_item: WorkItem) -> None:
        raise RetryLater("not now", after_s=60.0, counted=False)

    await queues.put("a")
    await database.execute("update work_items set lost = 4")
    queues.start(handle)
    await eventually(lambda: database.fetchval("select run_at > now() + interval '30 seconds' from work_items"))
    assert await database.fetchval("select lost from work_items") == 0


async def test_suspected_rows_run_apart_from_the_others_and_at_last_alone(queues: Queues, database: Database) -> None:
    together: list[set[str]] = []
    running: set[str] = set()

    async def handle(item: WorkItem) -> None:
        running.add(item.ref)
        together.append(set(running))
        await asyncio.sleep(0.005)
        running.discard(item.ref)

    for number in range(20):
        await queues.put(f"row {number}")
    for name in ("near 1", "near 2", "near 3", "killer 1", "killer 2"):
        await queues.put(name)
    await database.execute("update work_items set lost = 2 where ref like 'near%'")
    await database.execute("update work_items set lost = 4 where ref like 'killer%'")
    queues.start(handle, concurrency=8)
    await eventually(queues.is_empty)
    kinds = [{ref.split()[0] for ref in group} for group in together]
    assert [kind for kind in kinds if len(kind) > 1] == []
    assert {"near 1", "near 2", "near 3"} in together
    assert {len(group) for group in together if "killer 1" in group or "killer 2" in group} == {1}


async def test_a_suspected_row_does_not_wait_for_work_that_does_not_end(queues: Queues, database: Database) -> None:
    done: list[str] = []

    async def handle(item: WorkItem) -> None:
        if item.ref == "endless":
            await asyncio.Event().wait()
        done.append(item.ref)

    await queues.put("endless")
    queue = queues.start(handle, suspects_wait_s=0.05)
    await eventually(lambda: database.fetchval("select leased_by is not null from work_items"))
    await queues.put("suspect")
    await database.execute("update work_items set lost = 2 where ref = 'suspect'")
    queue.wake()
    await eventually(lambda: database.fetchval("select count(*) = 1 from work_items"))
    assert done == ["suspect"]


async def test_stopping_gives_rows_back_without_counting(queues: Queues, database: Database) -> None:
    is_running = asyncio.Event()

    async def handle(item: WorkItem) -> None:
        is_running.set()
        await asyncio.Event().wait()

    queue = queues.start(handle)
    await queues.put("a", key="k", queue=queue)
    await is_running.wait()
    await queue.stop()
    row = await database.fetchrow("select leased_by, lost, attempts from work_items")
    assert row is not None
    assert tuple(row) == (None, 0, 0)
    assert await database.fetchval("select leased_by from lanes") is None


async def test_a_lease_whose_statement_never_answered_is_given_back(queues: Queues, database: Database) -> None:
    """As if the connection had been cut after the commit: rows and lanes are ours, and nobody knows."""
    done: list[str] = []
    is_running, go_on = asyncio.Event(), asyncio.Event()

    async def handle(item: WorkItem) -> None:
        if item.ref == "known":
            is_running.set()
            await go_on.wait()
        done.append(item.ref)

    queue = queues.start(handle, forgotten_after_s=0.0)
    for ref, key in (("plain", None), ("keyed", "k")):
        await database.fetchrow(ENQUEUE, QUEUE, key, ref, {}, queues.worker.id)
    await queues.put("behind its lane", key="l")
    await database.execute("update lanes set leased_by = $1 where key = 'l'", queues.worker.id)
    await queues.put("known", key="m", queue=queue)
    await is_running.wait()

    async def others_are_done() -> bool:
        queue.wake()
        return len(done) == 3

    await eventually(others_are_done)
    go_on.set()
    await eventually(queues.is_empty)
    assert sorted(done) == ["behind its lane", "keyed", "known", "plain"]
    assert await database.fetchval("select count(*) from lanes where leased_by is not null or pending <> 0") == 0


async def test_stopping_can_let_what_runs_finish(queues: Queues, database: Database) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def handle(_item: WorkItem) -> None:
        started.set()
        await finish.wait()

    queue = queues.start(handle)
    await queues.put("a", queue=queue)
    await started.wait()
    stopping = asyncio.create_task(queue.stop(finish_within_s=5))
    finish.set()
    await stopping
    assert await database.fetchval("select count(*) from work_items") == 0


async def test_a_handler_may_complete_its_row_in_its_own_statement(queues: Queues, database: Database) -> None:
    own = f"""with {complete("done", item="$1::bigint", claim="$2::int", worker="$3::text")}
    select (select count(*) from done) as done, coalesce((select pending from done_lane), 0) as pending"""
    completed: list[int] = []

    async def handle(item: WorkItem) -> Completed:
        row = await database.fetchrow(own, item.id, item.claim, queues.worker.id)
        assert row is not None
        completed.append(row["done"])
        return Completed(lane_pending=row["pending"])

    queue = queues.start(handle)
    await queues.put("a", key="k", queue=queue)
    await queues.put("b", key="k")
    await eventually(queues.is_empty)
    assert completed == [1, 1]


async def test_the_concurrency_limit_holds_and_the_rest_follows(queues: Queues) -> None:
    running, most, is_full = 0, 0, asyncio.Event()

    async def handle(item: WorkItem) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 5:
            is_full.set()
        await is_full.wait()
        await asyncio.sleep(0)
        running -= 1

    queue = queues.start(handle, concurrency=5)
    for number in range(200):
        await queues.put(str(number), key=f"k{number}", queue=queue)
    await eventually(queues.is_empty)
    assert most == 5


async def test_writers_and_workers_on_the_same_keys_lose_no_wake_up(queues: Queues) -> None:
    """The race of a completion against an insert: no poll may be needed to see the last row."""
    seen: set[str] = set()

    async def handle(item: WorkItem) -> None:
        seen.add(item.ref)

    queue = queues.start(handle, concurrency=16)

    async def write(writer: int) -> None:
        for number in range(100):
            await queues.put(f"{writer}/{number}", key=f"key {random.randrange(5)}", queue=queue)

    await asyncio.gather(*(write(writer) for writer in range(8)))
    await eventually(queues.is_empty)
    assert len(seen) == 800
    assert await queues.pending() == 0


async def test_idle_lanes_are_removed_and_busy_ones_stay(queues: Queues, database: Database) -> None:
    await queues.put("a", key="busy")
    await database.execute(
        "insert into lanes (queue, key, pending, next_seq, updated_at) values ($1, 'idle', 0, 5, now() - interval '2 hours')",
        QUEUE,
    )
    await database.execute(REMOVE_IDLE_LANES)
    assert [row["key"] for row in await database.fetch("select key from lanes")] == ["busy"]


async def test_a_restart_on_the_same_host_frees_its_predecessors_rows_at_once(database: Database) -> None:
    await database.execute(
        "insert into workers (id, service, host, pid, alive_until) values ('before', 'request-manager', 'here', 999999999, now() + interval '10 s')"
    )
    await database.fetchrow(ENQUEUE, QUEUE, "k", "a", {}, "before")
    worker = Worker(database, ServiceName.REQUEST_MANAGER, host="here")
    await worker.start()
    assert await database.fetchval("select leased_by from work_items") is None
    await worker.stop()
    assert await database.fetchval("select count(*) from workers") == 0
