"""What tests can do to deliveries: repeat, delay, mix and lose them, or hold them all. The same seed makes the same choices."""

import asyncio
import random

from pydantic import BaseModel, ConfigDict, Field


class Knobs(BaseModel):
    """`copies`: extra sends of each delivery that succeeded. `delay_s`: up to so long before each attempt, at random.
    `mix_window_s`: deliveries that become due within this time start in random order, never those of one ordered key.
    `lost_answers`: the share of answers that are thrown away, so that the delivery is made again. `is_paused`: nothing is
    sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    copies: int = Field(default=0, ge=0, le=100)
    delay_s: float = Field(default=0, ge=0, le=60)
    mix_window_s: float = Field(default=0, ge=0, le=60)
    lost_answers: float = Field(default=0, ge=0, lt=1)
    is_paused: bool = False


class Mischief:
    """Applies the knobs that are set now."""

    def __init__(self) -> None:
        self.knobs = Knobs()
        self._random = random.Random(0)  # noqa: S311 - choices of a test, nothing secret
        self._running = asyncio.Event()
        self._running.set()
        self._mixed: list[asyncio.Future[None]] = []

    def set(self, knobs: Knobs) -> None:
        if knobs.seed != self.knobs.seed:
            self._random.seed(knobs.seed)
        self.knobs = knobs
        if knobs.is_paused:
            self._running.clear()
        else:
            self._running.set()

    @property
    def is_idle(self) -> bool:
        return self.knobs == Knobs()

    async def before_attempt(self) -> None:
        """Wait as long as the knobs say."""
        if self.knobs.mix_window_s:
            await self._mix()
        if self.knobs.delay_s:
            await asyncio.sleep(self._random.uniform(0, self.knobs.delay_s))
        await self._running.wait()

    def loses_answer(self) -> bool:
        return self.knobs.lost_answers > 0 and self._random.random() < self.knobs.lost_answers

    async def _mix(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mixed.append(turn)
        if len(self._mixed) == 1:
            asyncio.get_running_loop().call_later(self.knobs.mix_window_s, self._release)
        await turn

    def _release(self) -> None:
        turns, self._mixed = self._mixed, []
        self._random.shuffle(turns)
        for turn in turns:
            if not turn.done():
                turn.set_result(None)
