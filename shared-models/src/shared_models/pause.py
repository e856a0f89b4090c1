"""What a queue does when the one place that all its rows go to is away: it waits, and one row at a time tries."""

import random
import time
from collections.abc import Callable

FAILURES_IN_A_ROW = 3


class Pause:
    """After some failures in a row nothing is claimed for a while, longer each time, up to `cap_s` seconds; then one row is
    tried alone. A success ends it. So the rows behind it cost no work and no attempts, and are all due when it is back."""

    def __init__(
        self, *, base_s: float = 0.25, cap_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    @property
    def is_on(self) -> bool:
        return self._failures >= FAILURES_IN_A_ROW

    def failed(self, retry_after_s: float | None = None) -> float:
        """Returns in how many seconds to look again; 0: as usual. Failures of what was under way when it began add nothing."""
        now = self._clock()
        if now < self._until:
            return self._until - now
        self._failures += 1
        if not self.is_on:
            return 0.0
        longest_s = min(self._cap_s, self._base_s * 2.0 ** min(self._failures - FAILURES_IN_A_ROW, 30))
        wait_s = max(longest_s * (0.5 + random.random() / 2), retry_after_s or 0.0)  # noqa: S311  # no secret
        self._until = now + wait_s
        return wait_s

    def succeeded(self) -> bool:
        """True when this ended a pause: look for due rows now."""
        was_on, self._failures, self._until = self.is_on, 0, 0.0
        return was_on

    def room(self, wanted: int, running: int) -> int:
        """How many rows may be claimed."""
        if not self.is_on:
            return wanted
        return min(wanted, 1) if running == 0 and self._clock() >= self._until else 0
