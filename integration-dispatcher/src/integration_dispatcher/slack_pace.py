"""Slack's rate limits: one post per second and channel, and no call of a method before its Retry-After has passed.

Source: https://docs.slack.dev/apis/web-api/rate-limits"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from shared_models.database import Database
from shared_models.errors import Unavailable

from integration_dispatcher.store import send_windows

MAX_WAIT_S = 5.0
MAX_WAITING = 32
FIRST_GUESS_S = 0.1


class SlackBusy(Exception):
    """Slack wants no call of this method before `retry_after_s` have passed. `was_called`: not all calls were left out."""

    def __init__(self, method: str, retry_after_s: float, *, was_called: bool = False) -> None:
        super().__init__(f"Slack takes no {method} for {retry_after_s:.1f} s.")
        self.method = method
        self.retry_after_s = retry_after_s
        self.was_called = was_called


@contextmanager
def after_a_call() -> Iterator[None]:
    """Inside, something has been sent already: a try that stops here was one, and the next one looks for what it left."""
    try:
        yield
    except SlackBusy as exc:
        raise SlackBusy(exc.method, exc.retry_after_s, was_called=True) from exc


class SlackPace:
    """What every replica knows stands in the database. While that is away, Slack's own refusals keep the pace.

    A process calls a method one call at a time: so none is under way that Slack has just asked not to make. That is as
    fast as Slack allows (some five posts a second). Who comes when many wait is given a time of their own to come back, so
    that a hanging Slack holds up a few deliveries, not all of them, and nobody asks again and again."""

    def __init__(
        self, database: Database, *, post_every_s: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._database = database
        self._post_every_s = post_every_s
        self._sleep = sleep
        self._closed_until: dict[str, float] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: defaultdict[str, int] = defaultdict(int)
        self._takes_s: defaultdict[str, float] = defaultdict(lambda: FIRST_GUESS_S)
        self._promised: dict[str, float] = {}

    @asynccontextmanager
    async def turn(self, method: str, channel: str = "") -> AsyncIterator[None]:
        """Wait until it is this call's turn, which lasts as long as the context; `channel`: it posts there.

        Raises SlackBusy when the wait would be long."""
        if self._waiting[method] >= MAX_WAITING:
            raise SlackBusy(method, self._come_back_in(method))
        self._waiting[method] += 1
        try:
            self._check(method)
            await self._wait(method, channel)
            async with self._locks[method]:
                self._check(method)
                began = time.monotonic()
                yield
                self._takes_s[method] += (time.monotonic() - began - self._takes_s[method]) / 8
        finally:
            self._waiting[method] -= 1

    async def close(self, method: str, retry_after_s: float) -> None:
        """Slack has answered 429."""
        self._closed_until[method] = max(self._closed_until.get(method, 0.0), time.monotonic() + retry_after_s)
        try:
            await send_windows.close(self._database, _window(method), retry_after_s)
        except Unavailable:
            return

    def _come_back_in(self, method: str) -> float:
        """Behind those who wait, and behind everybody who was told so before."""
        now, takes_s = time.monotonic(), self._takes_s[method]
        at = max(now + MAX_WAITING * takes_s, self._promised.get(method, 0.0) + takes_s)
        self._promised[method] = at
        return at - now

    def _check(self, method: str) -> None:
        left_s = self._closed_until.get(method, 0.0) - time.monotonic()
        if left_s > 0:
            raise SlackBusy(method, left_s)

    async def _wait(self, method: str, channel: str) -> None:
        wait_s = await self._take(method, channel)
        if wait_s > MAX_WAIT_S:
            raise SlackBusy(method, wait_s)
        if wait_s > 0:
            await self._sleep(wait_s)
            # Another replica may have been told to stop meanwhile.
            await self._take(method, "")

    async def _take(self, method: str, channel: str) -> float:
        every_s = self._post_every_s if channel else 0.0
        try:
            turn = await send_windows.take_turn(
                self._database, _window(method), _window(f"in {channel}"), every_s, MAX_WAIT_S
            )
        except Unavailable:
            return 0.0
        if turn.closed_s > 0:
            raise SlackBusy(method, turn.closed_s)
        return turn.wait_s if every_s > 0 else 0.0


def _window(name: str) -> str:
    return f"slack {name}"
