"""Accepting comes first: while accepts press, requests that nobody waits for yet are handed over one by one, in pace.

They are recorded already; an accept that waits holds a person's reply. None is held for longer than a second, so a steady
stream of accepts holds nothing up, and none for which somebody begins to wait."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from shared_models.work_item import WorkItem

QUIET_S = 0.02
STEP_S = 0.05
LONGEST_S = 1.0


@dataclass(frozen=True)
class _Held:
    item: WorkItem
    due_at: float


class Pace:
    """`hand_off` takes a row that is leased to this process. Rows still held at a stop go back with the worker's leases."""

    def __init__(self, hand_off: Callable[[WorkItem], None]) -> None:
        self._hand_off = hand_off
        self._held: dict[str, _Held] = {}
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
        self._held[item.ref] = _Held(item, loop.time() + LONGEST_S)
        if self._timer is None:
            self._timer = loop.call_later(STEP_S, self._step)

    def wanted(self, ref: str) -> None:
        """Somebody waits for it now."""
        held = self._held.pop(ref, None)
        if held is not None:
            self._hand_off(held.item)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._held.clear()

    def _step(self) -> None:
        """One row and those that are due, or all when no accept came for a moment."""
        now = asyncio.get_running_loop().time()
        is_quiet = now - self._last_accept > QUIET_S
        for number, held in enumerate(list(self._held.values())):
            if not (is_quiet or number == 0 or held.due_at <= now):
                break
            self.wanted(held.item.ref)
        self._timer = asyncio.get_running_loop().call_later(STEP_S, self._step) if self._held else None
