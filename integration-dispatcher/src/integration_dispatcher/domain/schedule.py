"""When a delivery is tried again, and when it is given up. Pure: chance and the time that is left are arguments."""

from dataclasses import dataclass

JITTER = 0.1


@dataclass(frozen=True)
class Schedule:
    """Delay before retry n (from 1): first delay times growth^(n-1), at most `cap_s`. Given up `expires_after_s` after planning.

    `steps_s`: the delays one by one instead, the last one repeated; another first delay stretches them all alike."""

    growth: float
    cap_s: float
    expires_after_s: float
    steps_s: tuple[float, ...] = ()

    def delay_s(self, retry: int, first_delay_s: float) -> float:
        if self.steps_s:
            step_s = self.steps_s[min(retry, len(self.steps_s)) - 1]
            return min(self.cap_s, step_s * first_delay_s / self.steps_s[0])
        return min(self.cap_s, first_delay_s * self.growth ** min(retry - 1, 60))


@dataclass(frozen=True)
class TryAgain:
    after_s: float


@dataclass(frozen=True)
class GiveUp:
    """`is_expired`: tries were left, but no time."""

    is_expired: bool


def next_step(
    schedule: Schedule,
    *,
    failures: int,
    retry_count: int,
    first_delay_s: float,
    left_s: float,
    chance: float,
    asked_s: float | None = None,
) -> TryAgain | GiveUp:
    """What follows failure number `failures` (from 1). `left_s`: until expiry; `asked_s`: Retry-After; `chance`: in [0, 1].

    A receiver may ask for more patience, up to the cap, never for less."""
    if failures > retry_count:
        return GiveUp(is_expired=False)
    delay_s = schedule.delay_s(failures, first_delay_s) * (1 - JITTER + 2 * JITTER * chance)
    delay_s = max(delay_s, min(asked_s or 0.0, schedule.cap_s))
    return TryAgain(delay_s) if delay_s < left_s else GiveUp(is_expired=True)
