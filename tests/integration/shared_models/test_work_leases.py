"""Rows whose worker dies, stops, loses them, or is killed by them: fencing and leases on real PostgreSQL."""

import asyncio

from shared_models.database import Database
from shared_models.enums import ServiceName
from shared_models.work_item import RetryLater, WorkItem
from shared_models.worker import MOST_GRACE_S, Worker

from tests.support.queues import ENQUEUE, QUEUE, Queues
from tests.support.waiting import eventually


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
    queues.start(handle, concurrency=64)  # all are claimed at once, however slow the machine
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
    stopping = asyncio.create_task(queue.stop(finish_within_s=60))
    finish.set()
    await stopping
    assert await database.fetchval("select count(*) from work_items") == 0


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


async def test_after_an_outage_all_others_are_heard_before_anybody_is_declared_dead(database: Database) -> None:
    late, other = (Worker(database, ServiceName.REQUEST_MANAGER, host=host) for host in ("here", "elsewhere"))
    await late.beat()
    await other.beat()
    await database.fetchrow(ENQUEUE, QUEUE, "k", "a", {}, other.id)
    # The database was away for longer than that.
    await database.execute("update workers set alive_until = now() - interval '1 s'")
    await late.beat()
    assert await database.fetchval("select leased_by from work_items") == other.id
    await other.beat()
    assert await late.reap() == 0


async def test_a_start_frees_nothing_of_processes_elsewhere(database: Database) -> None:
    other = Worker(database, ServiceName.REQUEST_MANAGER, host="elsewhere")
    await other.beat()
    await database.fetchrow(ENQUEUE, QUEUE, "k", "a", {}, other.id)
    await database.execute("update workers set alive_until = now() - interval '1 s'")
    started = Worker(database, ServiceName.REQUEST_MANAGER, host="here")
    await started.start()
    await started.beat()
    assert await database.fetchval("select leased_by from work_items") == other.id
    await started.stop()


async def test_where_everybody_is_late_again_and_again_the_dead_are_found_all_the_same(database: Database) -> None:
    late, dead = (Worker(database, ServiceName.REQUEST_MANAGER, host=host) for host in ("here", "elsewhere"))
    await dead.beat()
    await database.fetchrow(ENQUEUE, QUEUE, "k", "a", {}, dead.id)
    await late.beat()
    assert late._late_since is not None
    await database.execute("update workers set alive_until = now() - interval '1 s'")
    late._late_since -= MOST_GRACE_S
    await late.beat()
    assert await database.fetchval("select leased_by from work_items") is None
