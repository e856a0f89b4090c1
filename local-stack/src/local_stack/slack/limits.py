"""Slack's limits: so many calls of a method in a minute, one post per channel in a second, and what a window forbids.

Source: https://docs.slack.dev/apis/web-api/rate-limits"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from local_stack.slack.errors import RateLimited
from local_stack.slack.settings import SlackStandinSettings

TIERS = {1: 1, 2: 20, 3: 50, 4: 100}
POSTS_PER_MINUTE = 300  # "several hundred per minute" in a workspace, beside one per second and channel
SPECIAL_PER_MINUTE = 600  # auth.test: hundreds per minute
TOLERANCE = 0.1  # a caller that keeps the pace may be early by this share of it


@dataclass
class Limits:
    """`violations`: the calls that came inside a Retry-After window, as (method, channel). `clock`: monotonic seconds."""

    settings: SlackStandinSettings
    clock: Callable[[], float]
    violations: list[tuple[str, str]] = field(default_factory=list)
    _calls: dict[str, deque[float]] = field(default_factory=dict)
    _posts: dict[str, float] = field(default_factory=dict)
    _closed_until: dict[tuple[str, str], float] = field(default_factory=dict)

    def take(self, method: str, per_minute: int, channel: str = "") -> None:
        """Count a call; `channel` only for posts. Raises RateLimited."""
        now = self.clock()
        for key in ((method, ""), (method, channel)):
            left_s = self._closed_until.get(key, 0.0) - now
            if left_s > 0:
                self.violations.append((method, channel))
                raise RateLimited(math.ceil(left_s))
        recent = self._calls.setdefault(method, deque())
        while recent and recent[0] <= now - self.settings.minute_s:
            recent.popleft()
        if len(recent) >= per_minute:
            self.close(method, recent[0] + self.settings.minute_s - now)
        if channel:
            self._take_post(method, channel, now)
        recent.append(now)

    def close(self, method: str, for_s: float, channel: str = "") -> None:
        """Open a Retry-After window in which calls are refused and noted. Raises RateLimited."""
        retry_after_s = max(1, math.ceil(for_s))
        self._closed_until[method, channel] = self.clock() + retry_after_s
        raise RateLimited(retry_after_s)

    def _take_post(self, method: str, channel: str, now: float) -> None:
        every_s = self.settings.post_every_s
        since_s = now - self._posts.get(channel, -math.inf)
        if since_s < every_s * (1 - TOLERANCE):
            self.close(method, every_s - since_s, channel)
        self._posts[channel] = now
