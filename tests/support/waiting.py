"""Bounded waiting on a condition: the only way tests wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable

# A wait that succeeds costs nothing; one that gives up early on a busy machine costs a run.
PATIENCE_S = 120.0


async def eventually[T](look: Callable[[], Awaitable[T]], *, within_s: float = PATIENCE_S, every_s: float = 0.02) -> T:
    """Call `look` until it returns something true; return that.

    Raises AssertionError with the last value when `within_s` is over."""
    give_up_at = time.monotonic() + within_s
    while True:
        value = await look()
        if value:
            return value
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {within_s} s; last value: {value!r}")
        await asyncio.sleep(every_s)


def eventually_blocking[T](look: Callable[[], T], *, within_s: float = PATIENCE_S, every_s: float = 0.02) -> T:
    """`eventually` for tests and fixtures without an event loop."""
    give_up_at = time.monotonic() + within_s
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {within_s} s; last value: {value!r}")
        time.sleep(every_s)
