"""The product as `make up` wires it, with the fake model in Llama Stack's place: three services and what stands around them."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from local_stack.programs import Child, Program, run_once, wait_until_ready
from local_stack.state import Secrets
from local_stack.wiring import ModelChoice, Ports, Wiring, own_broker

from tests.load.cluster import sql
from tests.load.fake_responses import MODEL
from tests.load.generator import Job
from tests.load.people import People
from tests.load.rounds import BenchFailed
from tests.load.usage import cpu_s

READY_TIMEOUT_S = 300.0
DRAINED_WITHIN_S = 90.0
QUIET_SHARE = 0.1  # of one core
QUIET_SAMPLE_S = 0.5
QUIET_WITHIN_S = 30.0
# One session asks 200 times within seconds: the limit per minute and person is not what is measured here.
LIMITS = {"REQUESTS_PER_MINUTE": "100000"}


@dataclass
class Product:
    """The services are started and stopped again by `start`; the rest runs all the time. `broker` None: direct HTTP.

    `more_env`: what a program is told besides, by its name, from the next start on."""

    wiring: Wiring
    people: People
    folder: Path
    services: list[Child] = field(default_factory=list)
    broker: Child | None = None
    more_env: dict[str, dict[str, str]] = field(default_factory=dict)

    def start_broker(self) -> None:
        """From the next start of the services their messages go through the local broker."""
        self.wiring = replace(self.wiring, broker=own_broker(self.wiring.ports))
        self.broker = _start(self.wiring.local_broker(), self.folder)
        wait_until_ready([self.broker], timeout_s=READY_TIMEOUT_S)

    def start(self) -> float:
        """Stop the services if they run, start them, wait for readiness. Returns the seconds from start to ready."""
        self.stop()
        began_s = time.monotonic()
        self.services = [
            Child(
                replace(program, env={**program.env, **LIMITS, **self.more_env.get(program.name, {})}),
                self.folder / f"{program.name}.log",
            )
            for program in self.wiring.services()
        ]
        wait_until_ready(self.services, timeout_s=READY_TIMEOUT_S)
        return time.monotonic() - began_s

    def stop(self) -> None:
        for child in reversed(self.services):
            child.stop()
        self.services = []

    def stop_all(self) -> None:
        self.stop()
        if self.broker is not None:
            self.broker.stop()

    @property
    def pids(self) -> dict[str, int]:
        """Of the services: a broker is no part of the product."""
        return {child.name: child.process.pid for child in self.services}

    def job(self, *, clients: int, count: int | None = None, seconds: float | None = None, most: int = 0) -> Job:
        """Requests that wait for their answer, each by another person. `most`: how many there can be, if not `count`."""
        url = f"http://127.0.0.1:{self.wiring.ports.request_manager}/api/v1/requests/generic"
        return Job(url, clients=clients, count=count, seconds=seconds, keys=self.people.take(count or most))

    def accepted_job(self, *, clients: int, count: int) -> Job:
        job = self.job(clients=clients, count=count)
        return replace(job, headers={"Prefer": "respond-async"}, expects="accepted")

    def sessions_job(self, turns: int, early: int, pairs: int) -> Job:
        """A session of `turns` turns, another of `early`, then one more turn of each in turns, `pairs` times."""
        job = self.job(clients=1, count=2)
        long, short = job.keys
        keys = [long] * turns + [short] * early + [long, short] * pairs
        return replace(job, count=len(keys), keys=keys, keeps_sessions=True)

    def settle(self) -> None:
        """Wait until the services do next to nothing. Raises BenchFailed."""
        give_up_at = time.monotonic() + QUIET_WITHIN_S
        while time.monotonic() < give_up_at:
            before = sum(map(cpu_s, self.pids.values()))
            time.sleep(QUIET_SAMPLE_S)
            if sum(map(cpu_s, self.pids.values())) - before < QUIET_SHARE * QUIET_SAMPLE_S:
                return
        raise BenchFailed("the services do not come to rest")

    def drain(self) -> None:
        """Wait until every accepted request has ended. Raises BenchFailed."""
        give_up_at = time.monotonic() + DRAINED_WITHIN_S
        while sql(self.wiring.database_url, "select 1 from request_logs where ended_at is null limit 1"):
            if time.monotonic() > give_up_at:
                raise BenchFailed(f"accepted requests did not end within {DRAINED_WITHIN_S:.0f} s")
            time.sleep(QUIET_SAMPLE_S)


@contextmanager
def running_product(database_url: str, model_url: str, folder: Path) -> Iterator[Product]:
    """Migrates the database and starts what the services need; the services themselves are not started yet."""
    wiring = Wiring(Ports.free(), Secrets.generate(), ModelChoice(model_url, MODEL, None), folder, database_url)
    migrate = [sys.executable, "-m", "shared_models.migrate"]
    if run_once(migrate, env=wiring.database_tools(), log=folder / "migrate.log") != 0:
        raise BenchFailed(f"the migrations failed, see {folder / 'migrate.log'}")
    around = [
        _start(program, folder) for program in (wiring.demo_rules(), wiring.servicenow(), wiring.servicenow_mcp())
    ]
    product = Product(wiring, People(database_url), folder)
    try:
        wait_until_ready(around, timeout_s=READY_TIMEOUT_S)
        yield product
    finally:
        product.stop_all()
        for child in reversed(around):
            child.stop()


def _start(program: Program, folder: Path) -> Child:
    return Child(program, folder / f"{program.name}.log")
