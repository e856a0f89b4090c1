"""What one person may have under way, and how callers are told.

Source of the headers: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (version 10)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared_models.errors import TooManyRequests

WINDOW_S = 60
RETRY_OPEN_S = 5


@dataclass(frozen=True)
class Limits:
    """`open_requests`: running and waiting ones together."""

    per_minute: int
    open_requests: int
    session_timeout: timedelta
    deadline: timedelta


@dataclass(frozen=True)
class Load:
    """What a person has used: requests of the present window, which ends at `window_ends_at`, and requests not ended."""

    window_count: int
    window_ends_at: datetime
    open_requests: int


def headers(limits: Limits, load: Load, now: datetime) -> dict[str, str]:
    left_s = max(0, round((load.window_ends_at - now).total_seconds()))
    used = load.window_count if left_s else 0
    minute = f'"minute";r={max(0, limits.per_minute - used)};t={left_s}'
    under_way = f'"open";r={max(0, limits.open_requests - load.open_requests)}'
    return {
        "ratelimit": f"{minute}, {under_way}",
        "ratelimit-policy": f'"minute";q={limits.per_minute};w={WINDOW_S}, "open";q={limits.open_requests}',
    }


def refusal(limits: Limits, load: Load, now: datetime) -> TooManyRequests:
    """The 429 for a person at a limit; says which one, and when to try again."""
    left_s = (load.window_ends_at - now).total_seconds()
    if load.window_count >= limits.per_minute and left_s > 0:
        detail, after_s = f"At most {limits.per_minute} requests per minute.", left_s + 1
    else:
        detail, after_s = f"At most {limits.open_requests} requests under way at once.", float(RETRY_OPEN_S)
    error = TooManyRequests(detail, retry_after_s=after_s)
    error.headers = headers(limits, load, now)
    return error
