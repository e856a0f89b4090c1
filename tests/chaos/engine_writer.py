"""A process that fills lanes: `python -m tests.chaos.engine_writer URL FOLDER NUMBER ROWS LANES`.

It writes so many rows into so many lanes of its own, in order. What it saw committed is in its ledger; after a death it goes on behind that, and a
row whose commit it did not see is written again under the same number: the worker's table then shows it twice."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

from shared_models.database import Database
from shared_models.errors import Unavailable
from shared_models.work_statements import enqueue

from tests.chaos.lines import Lines, read_lines
from tests.support.engine_worker import QUEUE

FILL = f"""
with source as (
  select '{QUEUE}'::text as queue, $1::text as key, null::bigint as seq, ''::text as ref,
         jsonb_build_object('number', $2::int) as payload, null::text as worker
), {enqueue("item", "source")}
select count(*) from item
"""


async def write(database: Database, ledger: Path, keys: list[str], rows: int) -> None:
    done = Counter(line["key"] for line in read_lines(ledger))
    lines = Lines(ledger)
    each = rows // len(keys)

    async def fill(key: str) -> None:
        for number in range(done[key], each):
            while True:
                try:
                    await database.fetchval(FILL, key, number)
                    break
                except Unavailable:
                    await asyncio.sleep(0.2)
            lines.add(key=key, number=number)

    await asyncio.gather(*(fill(key) for key in keys))


async def main(url: str, folder: str, number: str, rows: str, lanes: str) -> None:
    database = Database(url, pool_size=4)
    while True:
        try:
            await database.open()
            break
        except OSError:
            await asyncio.sleep(0.2)
    keys = [f"writer {number}, lane {lane}" for lane in range(int(lanes))]
    await write(database, Path(folder) / f"writer-{number}.jsonl", keys, int(rows))
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
