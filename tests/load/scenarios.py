"""The scenarios of the bench. Each returns measures against the targets and notes facts without one."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.load.claims import claims_behind
from tests.load.cluster import sql
from tests.load.floor import MOST_CPU_MS, Floor
from tests.load.generator import Job, Outcome, run_job
from tests.load.model import FakeModel
from tests.load.numbers import Measure, median, percentile, show
from tests.load.product import Product
from tests.load.report import Report
from tests.load.rounds import (
    BenchFailed,
    Ran,
    Rounds,
    Side,
    all_right,
    cpu_ms_per_request,
    p50_ms,
    per_s,
    run_rounds,
    run_side,
)
from tests.load.statements import count_statements, reset_statements
from tests.load.stored import store_requests
from tests.load.usage import MemoryMeter, rss_mb

ROUNDS = 3
STARTS = 3
AFTER_START = 30  # requests after the first one
ALONE = 60  # requests per round
LOADED_S = 5.0
LOADED_MOST = 2500  # requests that a product twelve times as fast as today's could make in that time
ACCEPTED = 320  # requests per round
AT_ONCE = 500
MODEL_LATENCY_MS = 1000
SESSIONS, LONG, SHORT, PAIRS = 3, 195, 5, 9  # turns 196 to 204 of a session beside turns 6 to 14 of another
STORED = 100_000
AHEAD, CLAIMS = 10_000, 100


@dataclass
class Bench:
    """What the scenarios share. `nonces`: those of all right answers so far; each must stand in `request_logs`.

    `alone_ratio`: to the floor, with few stored requests."""

    floor: Floor
    product: Product
    model: FakeModel
    postgres_pid: int
    report: Report
    nonces: set[str] = field(default_factory=set)
    alone_ratio: float = math.nan

    def measure(self, measure: Measure) -> None:
        self.report.measures.append(measure)

    def fact(self, name: str, value: float | str) -> None:
        self.report.facts[name] = value

    def keep(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self.nonces.update(outcome.nonces)

    def sides(self, floor: Job, product: Side) -> tuple[Side, Side]:
        return Side("floor", lambda: floor, self.floor.pids | {"postgres": self.postgres_pid}), product

    @property
    def pids(self) -> dict[str, int]:
        return self.product.pids | {"postgres": self.postgres_pid}


def first_requests(bench: Bench) -> None:
    """Start the services several times; the first request after `readyz` against those that follow."""
    ratios: list[float] = []
    ready_s: list[float] = []
    idle_mb: list[dict[str, float]] = []
    for _ in range(STARTS):
        ready_s.append(bench.product.start())
        job = bench.product.job(clients=1, count=1 + AFTER_START)
        ran = all_right("first request", run_job(job))
        bench.keep([ran])
        ratios.append(ran.latencies_ms[0] / median(ran.latencies_ms[1:]))
        bench.product.settle()
        idle_mb.append({name: rss_mb(pid) for name, pid in bench.product.pids.items()})
    bench.measure(Measure("first request after readyz / later ones", median(ratios), 3, "x"))
    most = max(idle_mb, key=lambda by_name: sum(by_name.values()))
    note = ", ".join(f"{name} {show(mb)}" for name, mb in most.items())
    bench.measure(Measure("memory of the three services, idle", sum(most.values()), 330, "MB", note=note))
    bench.fact("the three services until ready, s", median(ready_s))


def alone(bench: Bench) -> None:
    """One client."""
    rounds = alone_rounds(bench)
    ratio = rounds.ratio(p50_ms)
    bench.measure(Measure("sync, 1 client, p50 / floor", ratio, 5, "x", note=p50_note(rounds)))
    bench.fact(
        "sync, 1 client, p95, ms", percentile([ms for r in rounds.product for ms in r.outcome.latencies_ms], 0.95)
    )
    bench.alone_ratio = ratio


def alone_rounds(bench: Bench) -> Rounds:
    product = Side("alone", lambda: bench.product.job(clients=1, count=ALONE), bench.pids)
    floor = Job(bench.floor.answered_url, clients=1, count=ALONE)
    rounds = run_rounds(*bench.sides(floor, product), ROUNDS)
    bench.keep([ran.outcome for ran in rounds.product])
    return rounds


def loaded(bench: Bench) -> None:
    """32 clients without pause: rate, CPU, statements and model calls per request, memory."""
    bench.model.control(latency_ms=0)
    reset_statements(bench.product.wiring.database_url)
    counted = {"floor": 0, "product": 0}

    def job() -> Job:
        return bench.product.job(clients=32, seconds=LOADED_S, most=LOADED_MOST)

    floor, product = bench.sides(
        Job(bench.floor.answered_url, clients=32, seconds=LOADED_S - 1), Side("loaded", job, bench.pids)
    )
    rounds = Rounds([], [])
    with MemoryMeter(bench.product.pids) as memory:
        for _ in range(ROUNDS):
            for side, ran_so_far in ((floor, rounds.floor), (product, rounds.product)):
                before = bench.model.calls
                ran_so_far.append(run_side(side))
                counted[side.name if side is floor else "product"] += bench.model.calls - before
    bench.keep([ran.outcome for ran in rounds.product])
    completed = sum(ran.outcome.right for ran in rounds.product)
    note = rate_note(rounds)
    bench.measure(
        Measure("sync, 32 clients, requests/s / floor", rounds.ratio(per_s), 0.2, "x", at_least=True, note=note)
    )
    calls = counted["product"] / completed
    bench.measure(Measure("model calls per request, at most", calls, 1, ""))
    bench.measure(Measure("model calls per request, at least", calls, 1, "", at_least=True))
    _loaded_cpu(bench, rounds)
    statements = count_statements(bench.product.wiring.database_url)
    note = ", ".join(f"{role.removeprefix('ssa_')} {show(n / completed)}" for role, n in sorted(statements.items()))
    bench.measure(Measure("SQL statements per request", sum(statements.values()) / completed, 12, "", note=note))
    bench.measure(Measure("memory of the three services, 32 clients", memory.most_mb, 450, "MB"))
    bench.fact(
        "sync, 32 clients, p95, ms", percentile([ms for r in rounds.product for ms in r.outcome.latencies_ms], 0.95)
    )


def _loaded_cpu(bench: Bench, rounds: Rounds) -> None:
    by_name = {name: cpu_ms_per_request(rounds.product, name) for name in bench.pids}
    postgres = by_name.pop("postgres")
    note = ", ".join(f"{name} {show(ms)}" for name, ms in by_name.items()) + f"; PostgreSQL {show(postgres)}"
    bench.measure(Measure("service CPU per request", sum(by_name.values()), 12, "ms", note=note))
    check_floor(bench, rounds)


def check_floor(bench: Bench, rounds: Rounds) -> None:
    """Notes what the floor has cost; too much, and the run does not count."""
    floor_ms = cpu_ms_per_request(rounds.floor, "floor")
    bench.fact("floor, CPU per request, ms", floor_ms)
    bench.fact("floor, CPU of PostgreSQL per request, ms", cpu_ms_per_request(rounds.floor, "postgres"))
    if floor_ms > MOST_CPU_MS:
        bench.report.void = f"the floor needs {show(floor_ms)} ms CPU per request, more than {MOST_CPU_MS}"


def at_once(bench: Bench) -> None:
    """500 people ask in the same moment, the model takes a second."""
    bench.model.control(latency_ms=MODEL_LATENCY_MS)
    floor = run_job(Job(bench.floor.answered_url, clients=AT_ONCE, count=AT_ONCE))
    bench.model.control(latency_ms=MODEL_LATENCY_MS)
    with MemoryMeter(bench.product.pids) as memory:
        outcome = run_job(bench.product.job(clients=AT_ONCE, count=AT_ONCE))
    calls = bench.model.calls
    bench.model.control(latency_ms=0)
    bench.keep([outcome])
    note = f"errors {dict(outcome.errors)}" if outcome.wrong else f"model calls {calls}"
    bench.measure(Measure("500 at once: right answers", outcome.right, AT_ONCE, "", at_least=True, note=note))
    note = f"floor {show(max(floor.latencies_ms, default=0) / 1000)} s"
    last_s = max(outcome.latencies_ms) / 1000 if outcome.latencies_ms else None
    bench.measure(Measure("500 at once: the last one after", last_s, 6, "s", note=note))
    bench.measure(Measure("500 at once: errors", outcome.wrong, 0, ""))
    bench.measure(Measure("memory of the three services, 500 at once", memory.most_mb, 450, "MB"))


def accepted(bench: Bench) -> None:
    """What `202` takes at 16 clients, while the accepted requests are worked on."""
    floor, product = bench.sides(
        Job(bench.floor.accepted_url, clients=16, count=ACCEPTED, expects="accepted"),
        Side("accepted", lambda: bench.product.accepted_job(clients=16, count=ACCEPTED), bench.pids),
    )
    rounds = Rounds([], [])
    for _ in range(ROUNDS):
        rounds.floor.append(run_side(floor))
        rounds.product.append(run_side(product))
        bench.product.drain()
    bench.keep([ran.outcome for ran in rounds.product])
    bench.measure(Measure("202 at 16 clients, p50 / floor", rounds.ratio(p50_ms), 2.5, "x", note=p50_note(rounds)))


def long_sessions(bench: Bench) -> None:
    """The 200th turn of a session beside the 10th of another."""
    early: list[float] = []
    late: list[float] = []
    for _ in range(SESSIONS):
        outcome = all_right("long session", run_job(bench.product.sessions_job(LONG, SHORT, PAIRS)))
        bench.keep([outcome])
        pairs = outcome.latencies_ms[LONG + SHORT :]
        late += pairs[0::2]
        early += pairs[1::2]
    note = f"{show(median(late))} ms, 10th {show(median(early))} ms"
    bench.measure(Measure("200th turn of a session / 10th turn", median(late) / median(early), 1.3, "x", note=note))


def many_stored(bench: Bench) -> None:
    """The same as `alone`, which runs before, with 100,000 stored requests."""
    url = bench.product.wiring.database_url
    (template,) = sql(url, "select request_id from request_logs where status = 'completed' limit 1")
    stored = store_requests(url, template["request_id"], STORED)
    if stored < STORED:
        raise BenchFailed(f"only {stored} requests are stored")
    full = alone_rounds(bench)
    note = f"{show(_p50(full.product))} ms with {stored:,} stored"
    bench.measure(
        Measure("100,000 stored requests / empty, p50", full.ratio(p50_ms) / bench.alone_ratio, 1.3, "x", note=note)
    )


def claim_behind(bench: Bench) -> None:
    """A claim while 10,000 rows of one lane wait."""
    took_ms = asyncio.run(claims_behind(bench.product.wiring.database_url, rows=AHEAD, rounds=CLAIMS))
    note = f"median {show(median(took_ms))} ms, {CLAIMS} claims"
    bench.measure(
        Measure("claim with 10,000 rows of one lane ahead, p95", percentile(took_ms, 0.95), 25, "ms", note=note)
    )


def nonces_are_stored(bench: Bench) -> None:
    """Each nonce that came back stands in its row of `request_logs`, in the question and in the answer."""
    rows = sql(
        bench.product.wiring.database_url,
        "select substring(content from 'nonce-[0-9a-f]{32}') as asked, response::text as answered from request_logs",
    )
    stored = {row["asked"] for row in rows if row["asked"] and row["asked"] in (row["answered"] or "")}
    missing = len(bench.nonces - stored)
    note = f"{len(bench.nonces):,} nonces came back"
    bench.measure(Measure("nonces that do not stand in request_logs", missing, 0, "", note=note))


def _p50(runs: list[Ran]) -> float:
    return median([p50_ms(ran.outcome) for ran in runs])


def p50_note(rounds: Rounds) -> str:
    return f"{show(_p50(rounds.product))} ms, floor {show(_p50(rounds.floor))} ms"


def rate_note(rounds: Rounds) -> str:
    product, floor = (median([ran.outcome.per_s for ran in runs]) for runs in (rounds.product, rounds.floor))
    return f"{show(product)}/s, floor {show(floor)}/s"


ALL: dict[str, Callable[[Bench], None]] = {
    "first": first_requests,
    "loaded": loaded,
    "at-once": at_once,
    "accepted": accepted,
    "alone": alone,
    "sessions": long_sessions,
    "claim": claim_behind,
    "nonces": nonces_are_stored,
    "stored": many_stored,
}
"""In this order; `stored` needs `alone` before it."""
