"""The scenarios in eventing mode, over the local broker, on a database of their own.

The broker is a stand-in: what it costs is shown beside, and is no part of what the product may cost."""

from collections.abc import Callable

from tests.load.generator import Job, run_job
from tests.load.numbers import Measure, percentile, show
from tests.load.rounds import Side, cpu_ms_per_request, p50_ms, per_s, run_rounds
from tests.load.scenarios import (
    AT_ONCE,
    LOADED_MOST,
    LOADED_S,
    MODEL_LATENCY_MS,
    ROUNDS,
    Bench,
    alone_rounds,
    check_floor,
    nonces_are_stored,
    p50_note,
    rate_note,
)
from tests.load.statements import count_statements, reset_statements

BROKER = "broker"


def alone(bench: Bench) -> None:
    """One client."""
    bench.model.control(latency_ms=0)
    rounds = alone_rounds(bench)
    bench.measure(Measure("eventing, 1 client, p50 / floor", rounds.ratio(p50_ms), 10, "x", note=p50_note(rounds)))


def loaded(bench: Bench) -> None:
    """32 clients without pause: rate, CPU and statements per request."""
    bench.model.control(latency_ms=0)
    reset_statements(bench.product.wiring.database_url)
    pids = bench.pids | ({BROKER: bench.product.broker.process.pid} if bench.product.broker else {})

    def job() -> Job:
        return bench.product.job(clients=32, seconds=LOADED_S, most=LOADED_MOST)

    floor, product = bench.sides(
        Job(bench.floor.answered_url, clients=32, seconds=LOADED_S - 1), Side("eventing, loaded", job, pids)
    )
    rounds = run_rounds(floor, product, ROUNDS)
    bench.keep([ran.outcome for ran in rounds.product])
    ratio = rounds.ratio(per_s)
    bench.measure(
        Measure("eventing, 32 clients, requests/s / floor", ratio, 0.125, "x", at_least=True, note=rate_note(rounds))
    )
    by_name = {name: cpu_ms_per_request(rounds.product, name) for name in pids}
    beside = {"PostgreSQL": by_name.pop("postgres"), "local broker": by_name.pop(BROKER, 0.0)}
    note = "; ".join(", ".join(f"{name} {show(ms)}" for name, ms in each.items()) for each in (by_name, beside))
    bench.measure(Measure("eventing, service CPU per request", sum(by_name.values()), 16, "ms", note=note))
    check_floor(bench, rounds)
    completed = sum(ran.outcome.right for ran in rounds.product)
    statements = sum(count_statements(bench.product.wiring.database_url).values())
    bench.fact("eventing, SQL statements per request", statements / completed)
    latencies_ms = [ms for ran in rounds.product for ms in ran.outcome.latencies_ms]
    bench.fact("eventing, 32 clients, p95, ms", percentile(latencies_ms, 0.95))


def at_once(bench: Bench) -> None:
    """500 people ask in the same moment, the model takes a second."""
    bench.model.control(latency_ms=MODEL_LATENCY_MS)
    outcome = run_job(bench.product.job(clients=AT_ONCE, count=AT_ONCE))
    calls = bench.model.calls
    bench.model.control(latency_ms=0)
    bench.keep([outcome])
    note = f"errors {dict(outcome.errors)}" if outcome.wrong else f"model calls {calls}"
    bench.measure(Measure("eventing, 500 at once: right answers", outcome.right, AT_ONCE, "", at_least=True, note=note))
    last_s = max(outcome.latencies_ms) / 1000 if outcome.latencies_ms else None
    bench.measure(Measure("eventing, 500 at once: the last one after", last_s, 8, "s"))


ALL: dict[str, Callable[[Bench], None]] = {
    "eventing-loaded": loaded,
    "eventing-at-once": at_once,
    "eventing-alone": alone,
    "eventing-nonces": nonces_are_stored,
}
