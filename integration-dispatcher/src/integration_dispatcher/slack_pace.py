"""Slack's rate limits: one post per second and channel, and no call of a method before its Retry-After has passed.

Source: https://docs.slack.dev/apis/web-api/rate-limits"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from shared_models.database import Database
from shared_models.errors import Unavailable

from integration_dispatcher.store import send_windows

MAX_WAIT_S = 5.0


class SlackBusy(Exception):
    """Not called: Slack wants no call of this method before `retry_after_s` have passed."""

    def __init__(self, method: str, retry_after_s: float) -> None:
        super().__init__(f"Slack takes no {method} for {retry_after_s:.1f} s.")
        self.retry_after_s = retry_after_s


class SlackPace:
    """What every replica knows stands in the database. While that is away, Slack's own refusals keep the pace."""

    def __init__(
        self, database: Database, *, post_every_s: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._database = database
        self._post_every_s = post_every_s
        self._sleep = sleep
        self._closed_until: dict[str, float] = {}

    async def turn(self, method: str, channel: str = "") -> None:
        """Wait until it is this call's turn; `channel`: it posts there. Raises SlackBusy when that would take long."""
        self._check(method)
        wait_s = await self._take(method, channel)
        if wait_s > MAX_WAIT_S:
            raise SlackBusy(method, wait_s)
        if wait_s > 0:
            await self._sleep(wait_s)
            # Slack may have closed the method meanwhile, for this process or another.
            await self._take(method, "")
        self._check(method)

    async def close(self, method: str, retry_after_s: float) -> None:
        """Slack has answered 429."""
        self._closed_until[method] = max(self._closed_until.get(method, 0.0), time.monotonic() + retry_after_s)
        try:
            await send_windows.close(self._database, _window(method), retry_after_s)
        except Unavailable:
            return

    def _check(self, method: str) -> None:
        left_s = self._closed_until.get(method, 0.0) - time.monotonic()
        if left_s > 0:
            raise SlackBusy(method, left_s)

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
        return turn.wait_s if channel else 0.0


def _window(name: str) -> str:
    return f"slack {name}"
