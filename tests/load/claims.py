"""Claiming while one lane is long: the statements of the engine, on the bench's database, in a queue that no service has."""

import time

import asyncpg
from shared_models.database import Database
from shared_models.work_statements import CLAIM_FIRST_ROWS, CLAIM_FREE_ROWS, CLAIM_LANES, COMPLETE, enqueue

QUEUE = "bench.claims"
LONG, SHORT = "the long lane", "a short lane"
BATCH = 64
WORKER = "bench"

FILL = f"""
with lane as (
  insert into lanes (queue, key, pending, next_seq) values ('{QUEUE}', '{LONG}', $1, $1 + 1)
)
insert into work_items (queue, key, seq, payload) select '{QUEUE}', '{LONG}', n, '{{}}' from generate_series(1, $1) n
"""
PUT = f"""
with source as (
  select '{QUEUE}'::text as queue, $1::text as key, null::bigint as seq, ''::text as ref, '{{}}'::jsonb as payload,
         null::text as worker
), {enqueue("item", "source")}
select id from item
"""
EMPTY = f"with gone as (delete from lanes where queue = '{QUEUE}') delete from work_items where queue = '{QUEUE}'"


async def claims_behind(url: str, *, rows: int, rounds: int) -> list[float]:
    """Milliseconds of each claim that finds the next row of a lane of so many rows, and one row of a short lane."""
    database = Database(url)
    await database.open()
    try:
        await database.execute(FILL, rows)
        took_ms = []
        for number in range(rounds):
            await database.execute(PUT, f"{SHORT} {number}")
            began_s = time.perf_counter()
            claimed = await _claim(database)
            took_ms.append((time.perf_counter() - began_s) * 1000)
            if {row["key"] for row in claimed} != {LONG, f"{SHORT} {number}"}:
                raise AssertionError(f"claimed {[row['key'] for row in claimed]}")
            ids, claims = [row["id"] for row in claimed], [row["claim"] for row in claimed]
            await database.execute(COMPLETE, ids, claims, WORKER)
        return took_ms
    finally:
        await database.execute(EMPTY)
        await database.close()


async def _claim(database: Database) -> list[asyncpg.Record]:
    """As `WorkQueue` does it."""
    rows = await database.fetch(CLAIM_FREE_ROWS, QUEUE, BATCH, WORKER)
    keys = [row["key"] for row in await database.fetch(CLAIM_LANES, QUEUE, BATCH, WORKER)]
    return rows + await database.fetch(CLAIM_FIRST_ROWS, QUEUE, keys, WORKER)
