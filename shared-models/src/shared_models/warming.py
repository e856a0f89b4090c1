"""What a service does before it says that it is ready, so that its first request is as fast as the next."""

from collections.abc import Awaitable

from shared_models.errors import Unavailable
from shared_models.logging import get_logger

log = get_logger(__name__)


async def warm_if_there(warming: Awaitable[None]) -> None:
    """Warming only saves time: a database that is away, or too slow just now, does not stop the start."""
    try:
        await warming
    except Unavailable:
        log.warning("not_warmed", what="statements", cause="database")
