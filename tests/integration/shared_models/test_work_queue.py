"""The durable engine on real PostgreSQL: order per key, retries, dead letters, concurrency."""

import asyncio
import random
from datetime import datetime, timedelta

import pytest
from shared_models.database import Database
from shared_models.errors import InvalidRequest, UpstreamUnavailable
from shared_models.work_item import Completed, GiveUp, RetryLater, WorkItem
from shared_models.work_queue import WorkQueue
from shared_models.work_statements import REMOVE_IDLE_LANES, complete, replay

from tests.support.queues import FAST, QUEUE, Queues
from tests.support.waiting import eventually


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


@pytest.mark.parametrize("key", ["k", None])
async def test_who_asks_for_a_pause_is_not_called_before_it_is_over(queues: Queues, key: str | None) -> None:
    async def handle(_item: WorkItem) -> None:
        raise UpstreamUnavailable("busy", retry_after_s=60)

    before = await queues.database.fetchval("select now()")
    assert isinstance(before, datetime)
    queue = queues.start(handle)
    await queues.put("a", key=key, queue=queue)

    async def has_failed() -> bool:
        return await queues.database.fetchval("select attempts from work_items") == 1

    await eventually(has_failed)
    due = await queues.database.fetch("select run_at from work_items union all select run_at from lanes")
    assert len(due) == (1 if key is None else 2)
    assert all(row["run_at"] >= before + timedelta(seconds=60) for row in due)


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
