"""The same job on floor and product, in turns: a machine that is busy for a while slows both, and the median round counts."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.load.generator import Job, Outcome, run_job
from tests.load.numbers import median
from tests.load.usage import CpuMeter


class BenchFailed(Exception):
    """Something was wrong rather than slow: a wrong answer, an error, a request that was lost."""


@dataclass(frozen=True)
class Side:
    """One of the two: how its job is made, and which processes do the work."""

    name: str
    job: Callable[[], Job]
    pids: dict[str, int]


@dataclass(frozen=True)
class Ran:
    """One job and the CPU seconds that its processes spent meanwhile."""

    outcome: Outcome
    cpu_s: dict[str, float]


@dataclass(frozen=True)
class Rounds:
    floor: list[Ran]
    product: list[Ran]

    def ratio(self, number: Callable[[Outcome], float]) -> float:
        """The median over the rounds of product / floor."""
        pairs = zip(self.product, self.floor, strict=True)
        return median([number(product.outcome) / number(floor.outcome) for product, floor in pairs])


def run_rounds(floor: Side, product: Side, count: int) -> Rounds:
    """Floor, product, floor, product… Raises BenchFailed for any wrong answer."""
    found = Rounds([], [])
    for _ in range(count):
        found.floor.append(run_side(floor))
        found.product.append(run_side(product))
    return found


def run_side(side: Side) -> Ran:
    with CpuMeter(side.pids) as cpu:
        outcome = all_right(side.name, run_job(side.job()))
    return Ran(outcome, cpu.spent_s)


def all_right(name: str, outcome: Outcome) -> Outcome:
    """Raises BenchFailed unless there were answers and all of them right."""
    if outcome.wrong or not outcome.right:
        raise BenchFailed(f"{name}: {outcome.right} right answers, errors {dict(outcome.errors)}")
    return outcome


def p50_ms(outcome: Outcome) -> float:
    return median(outcome.latencies_ms)


def per_s(outcome: Outcome) -> float:
    return outcome.per_s


def cpu_ms_per_request(runs: list[Ran], name: str) -> float:
    """Over all rounds together."""
    return sum(run.cpu_s[name] for run in runs) * 1000 / sum(run.outcome.right for run in runs)
