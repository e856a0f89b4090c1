"""What a work queue runs, and how its handler says what became of it."""

import random
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WorkItem:
    """A claimed row. A completion must carry `id` and `claim`: a late worker then changes nothing."""

    id: int
    queue: str
    key: str | None
    ref: str
    payload: dict[str, Any]
    attempts: int = 0
    lost: int = 0
    claim: int = 1


@dataclass(frozen=True)
class Completed:
    """The handler's own statement has completed the item; `lane_pending` rows of its key are left."""

    lane_pending: int = 0


@dataclass(frozen=True)
class RetryPolicy:
    """Full-jitter exponential back-off: a random part of min(cap_s, base_s * 2^attempts); dead at `attempts`."""

    attempts: int = 10
    base_s: float = 0.5
    cap_s: float = 300.0

    def delay_s(self, attempts: int) -> float:
        return random.random() * min(self.cap_s, self.base_s * 2.0 ** min(attempts, 30))  # noqa: S311  # no secret


class RetryLater(Exception):
    """Not now. Counts as an attempt only when `counted`."""

    def __init__(self, reason: str, *, after_s: float | None = None, counted: bool = True) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.counted = counted


class GiveUp(Exception):
    """Never: the item becomes a dead letter at once."""
