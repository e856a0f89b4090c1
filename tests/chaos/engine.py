"""The durable engine alone: writers, workers and PostgreSQL die at random; every row is handled, each lane in its order.

Writers and workers are processes (tests/support/engine_worker.py, tests/chaos/engine_writer.py). A writer keeps a ledger of
what it saw committed; a worker writes the effect of each row into a table without any guard, so that a repeat shows."""

import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from local_stack.postgres import PostgresCluster
from local_stack.programs import Child, Program
from local_stack.settings import inherited_environment
from shared_models import migrate

from tests.chaos.lines import read_lines
from tests.load.cluster import sql

EFFECTS = "create table effects (id bigint generated always as identity, key text, number int)"
LEFT = "select count(*) from work_items where dead_at is null"
KILL_EVERY_S = (0.3, 1.5)
DATABASE_EVERY_S = (5.0, 15.0)


@dataclass(frozen=True)
class EngineSize:
    """`most_s` is generous: when it is over, what is left counts as stuck."""

    rows: int = 100_000
    lanes: int = 40
    writers: int = 8
    workers: int = 8
    most_s: float = 1500.0


@dataclass
class EngineResult:
    rows: int
    kills: int
    lost: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def is_clean(self) -> bool:
        return self.kills > 0 and not (self.lost or self.out_of_order or self.stuck)

    def words(self) -> str:
        found = {"lost": self.lost, "out of order": self.out_of_order, "stuck": self.stuck}
        words = [f"{name}: {len(each)} {each[:5]}" for name, each in found.items() if each]
        return "; ".join(words if self.kills else [*words, "nothing was killed"])


@dataclass
class Engine:
    """The processes under fire. `children` are started again when they die, but for writers that are done."""

    cluster: PostgresCluster
    folder: Path
    size: EngineSize
    seed: int
    children: dict[str, Child] = field(default_factory=dict)
    starts: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def start(self, name: str) -> None:
        self.starts[name] += 1
        kind, _, number = name.partition("-")
        arguments = {
            "worker": ["-m", "tests.support.engine_worker", self.cluster.url()],
            "writer": ["-m", "tests.chaos.engine_writer", self.cluster.url(), str(self.folder), number, *self._share()],
        }[kind]
        program = Program(name, [sys.executable, *arguments], inherited_environment(), 0)
        self.children[name] = Child(program, self.folder / f"{name}.{self.starts[name]}.log")

    def _share(self) -> list[str]:
        return [str(self.size.rows // self.size.writers), str(self.size.lanes // self.size.writers)]

    def tick(self) -> bool:
        """Start again what has died. True while writers write."""
        writing = False
        for name, child in list(self.children.items()):
            code = child.process.poll()
            if code is None:
                writing |= name.startswith("writer")
            elif not (name.startswith("writer") and code == 0):
                self.start(name)
                writing |= name.startswith("writer")
        return writing

    def kill_one(self) -> None:
        alive = [child for child in self.children.values() if child.process.poll() is None]
        if alive:
            self.chance.choice(alive).process.kill()
            self.kills += 1

    def kill_database(self) -> None:
        psutil.Process(self.cluster.server_pid).send_signal(self.chance.choice([signal.SIGQUIT, signal.SIGKILL]))
        self.kills += 1
        self.cluster.stop()
        self.cluster.start()

    def stop(self) -> None:
        for child in self.children.values():
            child.process.kill()
            child.process.wait()


def run_engine(cluster: PostgresCluster, folder: Path, size: EngineSize, seed: int) -> EngineResult:
    """On a started cluster with an empty database, whose port stays the same over restarts."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(migrate.upgrade, cluster.url()).result()
    sql(cluster.url(), EFFECTS)
    engine, began_s = Engine(cluster, folder, size, seed), time.monotonic()
    for kind, count in (("worker", size.workers), ("writer", size.writers)):
        for number in range(count):
            engine.start(f"{kind}-{number}")
    try:
        _under_fire(engine, began_s)
        _at_rest(engine, began_s)
    finally:
        engine.stop()
    result = judge(folder, sql(cluster.url(), "select key, number from effects order by id"), size)
    result.kills, result.took_s = engine.kills, time.monotonic() - began_s
    rows = sql(cluster.url(), "select id, key, last_error from work_items")
    lanes = sql(cluster.url(), "select key, pending from lanes where pending <> 0 or leased_by is not null")
    result.stuck = [str(dict(row)) for row in [*rows, *lanes]]
    return result


def _under_fire(engine: Engine, began_s: float) -> None:
    """Until everything is written and nearly everything handled."""
    kill_at = database_at = time.monotonic()
    database_at += engine.chance.uniform(*DATABASE_EVERY_S)
    while engine.tick() or sql(engine.cluster.url(), LEFT)[0][0] > engine.size.rows // 100:
        if time.monotonic() - began_s > engine.size.most_s:
            return
        if time.monotonic() >= kill_at:
            engine.kill_one()
            kill_at = time.monotonic() + engine.chance.uniform(*KILL_EVERY_S)
        if time.monotonic() >= database_at:
            engine.kill_database()
            database_at = time.monotonic() + engine.chance.uniform(*DATABASE_EVERY_S)
        time.sleep(0.1)


def _at_rest(engine: Engine, began_s: float) -> None:
    while sql(engine.cluster.url(), LEFT)[0][0] and time.monotonic() - began_s < engine.size.most_s:
        engine.tick()
        time.sleep(0.1)


def judge(folder: Path, effects: Iterable[tuple[str, int]], size: EngineSize) -> EngineResult:
    """Each writer writes 0, 1, 2 … into lanes of its own, so the order of a lane is known without trusting the engine."""
    seen: dict[str, list[int]] = defaultdict(list)
    handled: set[tuple[str, int]] = set()
    result = EngineResult(size.rows, 0)
    for key, number in effects:
        if (key, number) in handled:
            continue
        handled.add((key, number))
        if seen[key] and seen[key][-1] > number:
            result.out_of_order.append(f"{key}: {number} after {seen[key][-1]}")
        seen[key].append(number)
    for ledger in folder.glob("writer-*.jsonl"):
        for line in read_lines(ledger):
            if (line["key"], line["number"]) not in handled:
                result.lost.append(f"{line['key']}: {line['number']}")
    if len(handled) != size.rows:
        result.lost.append(f"{len(handled)} rows were written and handled, not {size.rows}")
    return result
