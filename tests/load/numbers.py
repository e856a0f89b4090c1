"""The arithmetic of the bench: percentiles, measures and their verdicts."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Measure:
    """One row of the report. `value` and `limit` share `unit`; `floor` is what the limit was made of, if anything."""

    name: str
    value: float | None
    limit: float
    unit: str
    at_least: bool = False
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.value is None or math.isnan(self.value):
            return Verdict.UNKNOWN
        is_good = self.value >= self.limit if self.at_least else self.value <= self.limit
        return Verdict.PASS if is_good else Verdict.FAIL

    @property
    def target(self) -> str:
        return f"{'>=' if self.at_least else '<='} {show(self.limit)} {self.unit}".rstrip()

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict, "target": self.target}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of all values do not exceed. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)


def ratio(value: float, base: float) -> float | None:
    """None when the base is 0: there is nothing to compare with."""
    return value / base if base else None


def show(value: float | None) -> str:
    """Three significant digits, whole numbers from 100 on."""
    if value is None or math.isnan(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
