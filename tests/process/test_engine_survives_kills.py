"""Workers that die by SIGKILL at any line: nothing is lost, and each key keeps its order."""

import asyncio
import random
import sys
from collections import Counter
from functools import partial

from shared_models.database import Database
from shared_models.work_statements import enqueue

from tests.support.waiting import eventually

QUEUE = "request-manager.requests"
KEYS = 60
ROWS_PER_KEY = 40
KILLS = 12
WORKERS = 3

FILL = f"""
with source as (
  select '{QUEUE}'::text as queue, $1::text as key, null::bigint as seq, ''::text as ref,
         jsonb_build_object('number', $2::int) as payload, null::text as worker
), {enqueue("item", "source")}
select count(*) from item
"""


async def start_worker(database_url: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.engine_worker", database_url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), timeout=30)
    if line != b"ready\n":
        process.kill()
        raise AssertionError(line)
    return process


async def test_killed_workers_lose_nothing_and_keep_the_order_of_each_key(database_url: str) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    database = Database(database_url)
    await database.open()
    await database.execute("create table effects (id bigint generated always as identity, key text, number int)")
    workers = [await start_worker(database_url) for _ in range(WORKERS)]
    try:
        writing = asyncio.create_task(fill(database))
        for kill in range(KILLS):
            enough = (kill + 1) * KEYS * ROWS_PER_KEY // (KILLS + 4)
            await eventually(partial(has_effects, database, enough), within_s=60)
            victim = chance.randrange(WORKERS)
            workers[victim].kill()
            await workers[victim].wait()
            workers[victim] = await start_worker(database_url)
        await writing
        await eventually(lambda: is_empty(database), within_s=60)
    finally:
        for worker in workers:
            worker.kill()
            await worker.wait()
    rows = await database.fetch("select key, number from effects order by id")
    dead = await database.fetchval("select count(*) from work_items")
    pending = await database.fetchval("select sum(pending) from lanes")
    await database.close()
    firsts: dict[str, list[int]] = {}
    for row in rows:
        seen = firsts.setdefault(row["key"], [])
        if row["number"] not in seen:
            seen.append(row["number"])
    assert firsts == {f"key {key}": list(range(ROWS_PER_KEY)) for key in range(KEYS)}, f"seed {seed}"
    repeats = Counter((row["key"], row["number"]) for row in rows)
    assert sum(count - 1 for count in repeats.values()) <= KILLS * 16, f"seed {seed}"
    assert (dead, pending) == (0, 0), f"seed {seed}"


async def fill(database: Database) -> None:
    for number in range(ROWS_PER_KEY):
        await asyncio.gather(*(database.execute(FILL, f"key {key}", number) for key in range(KEYS)))


async def has_effects(database: Database, enough: int) -> bool:
    count = await database.fetchval("select count(*) from effects")
    return isinstance(count, int) and count >= enough


async def is_empty(database: Database) -> bool:
    return await database.fetchval("select count(*) from work_items") == 0
