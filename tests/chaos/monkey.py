"""Who kills: a seeded sequence of deaths and errors, at the fault points and anywhere."""

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
from shared_models.faults import AMBIGUOUS, ANY, POINTS, REPLYING, STRUCK, Kind

from tests.chaos.lines import Json, read_lines
from tests.chaos.stack import BROKER, TOOLS, Stack, set_broker_knobs

TICK_S = 0.05
MOST_ARMED = 8
# An error after the receiver's yes sends the message again, and a pause there kills nobody: neither may excuse a copy. The
# stand-in for the broker has no answer to an error between a delivery and its end.
ONLY_DEATHS = (REPLYING, AMBIGUOUS, "local_broker.event.delivered")
MOST_DOWN = 1
DATABASE_EVERY_S = (5.0, 40.0)
PAUSE_S = (1.0, 3.0)
# An external kill could hit a dispatcher between a receiver's yes and the write of it, and no log would say so.
KILLED_ANYWHERE = ("request-manager.1", "request-manager.2", "agent-service.1", "agent-service.2", TOOLS)
REPLIES = ("POST /api/v1/requests/generic", "POST /api/v1/answers", "POST /api/v1/deliveries", "POST /events", "/end")


@dataclass
class Monkey:
    """`points` that are to kill at least once, in a random order, `first` before the others, then again from the beginning.
    `knobs`: mischief of the broker, set again and again, as a broker that was started anew has none."""

    stack: Stack
    seed: int
    points: list[str] = field(default_factory=lambda: list(POINTS))
    first: list[str] = field(default_factory=list)
    knobs: dict[str, float] = field(default_factory=dict)
    pauses_s: tuple[float, float] = PAUSE_S

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._next = list(self.first)
        self._database_at = time.monotonic() + self.chance.uniform(*DATABASE_EVERY_S)

    def run(self, is_over: Callable[[], bool]) -> None:
        """Until `is_over`; then nothing is armed any more and everything runs."""
        act_at = 0.0
        while not is_over():
            self.stack.tick()
            if time.monotonic() >= act_at:
                self._act()
                act_at = time.monotonic() + self.chance.uniform(*self.pauses_s)
            if time.monotonic() >= self._database_at:
                self.stack.kill_database(self.chance.choice([signal.SIGQUIT, signal.SIGQUIT, signal.SIGKILL]))
                self._database_at = time.monotonic() + self.chance.uniform(*DATABASE_EVERY_S)
            time.sleep(TICK_S)
        for file in self.stack.faults.iterdir():
            if file.name != STRUCK:
                file.unlink(missing_ok=True)
        self.stack.wait_until_ready()
        if self.knobs:
            set_broker_knobs(self.stack)

    @property
    def kills(self) -> int:
        return self.stack.killed + len(self.exits())

    def exits(self) -> list[Json]:
        """Deaths at fault points, without the lines about other deliveries of the same death."""
        struck = [line for line in read_lines(self.stack.faults / STRUCK) if "beside" not in line]
        return [line for line in struck if line["kind"] == Kind.EXIT]

    def never_struck(self) -> list[str]:
        """Points where nobody has died: an error or a pause there is less."""
        hit = {line["point"] for line in self.exits()}
        return [point for point in self.points if point not in hit]

    def _act(self) -> None:
        if self.knobs:
            with suppress(httpx.HTTPError):
                set_broker_knobs(self.stack, **self.knobs)
        # Whatever the speed of the machine: deaths come while the product is at work.
        if len(self.stack.down) > MOST_DOWN:
            return
        draw = self.chance.random()
        if draw < 0.62:
            self._arm_next()
        elif draw < 0.80:
            self.stack.kill(self.chance.choice([*KILLED_ANYWHERE, *([BROKER] if BROKER in self.stack.slots else [])]))
        elif draw < 0.85:
            self._arm(ANY, Kind.EXIT, match="dispatcher.")
        elif draw < 0.92:
            self._arm(REPLYING, Kind.DROP_REPLY, match=self.chance.choice(REPLIES))
        else:
            point = self.chance.choice([each for each in self.points if each not in ONLY_DEATHS])
            self._arm(point, self.chance.choice([Kind.RAISE, Kind.SLEEP]))

    def _arm_next(self) -> None:
        armed = [file for file in self.stack.faults.iterdir() if file.name in POINTS]
        if len(armed) >= MOST_ARMED:
            return
        if not self._next:
            self._next = self.never_struck() or list(self.points)
            self.chance.shuffle(self._next)
        self._arm(self._next.pop(), Kind.EXIT)

    def _arm(self, point: str, kind: Kind, match: str = "") -> None:
        self.stack.arm(point, kind=kind, match=match, sleep_s=1.0)
