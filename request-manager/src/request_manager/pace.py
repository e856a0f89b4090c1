"""Accepting comes first: while accepts press, requests that nobody waits for are handed over one by one, in pace.

They are recorded already, so a moment later costs nobody anything; an accept that waits holds a person's reply."""

import asyncio
from collections import deque
from collections.abc import Callable

from shared_models.work_queue import WorkItem

QUIET_S = 0.02
STEP_S = 0.05


class Pace:
    """`hand_off` takes a row that is leased to this process. Rows still held at a stop go back with the worker's leases."""

    def __init__(self, hand_off: Callable[[WorkItem], None]) -> None:
        self._hand_off = hand_off
        self._held: deque[WorkItem] = deque()
        self._last_accept = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def accepted(self, item: WorkItem) -> None:
        """Hand over at once when this is the only accept of the moment, else in its turn."""
        loop = asyncio.get_running_loop()
        is_quiet = loop.time() - self._last_accept > QUIET_S
        self._last_accept = loop.time()
        if is_quiet and not self._held:
            self._hand_off(item)
            return
        self._held.append(item)
        if self._timer is None:
            self._timer = loop.call_later(STEP_S, self._step)

    def _step(self) -> None:
        """One row, or all when no accept came for a moment."""
        loop = asyncio.get_running_loop()
        is_quiet = loop.time() - self._last_accept > QUIET_S
        for _ in range(len(self._held) if is_quiet else 1):
            self._hand_off(self._held.popleft())
        self._timer = loop.call_later(STEP_S, self._step) if self._held else None
