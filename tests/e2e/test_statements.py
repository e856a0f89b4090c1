"""What a request costs in SQL statements over all services: the number that catches a lost round trip without a clock.

Counted: 4 by direct HTTP, 6 as events, 8 when every event comes twice. The local broker's own are left out."""

from collections import Counter

from tests.support.database import superuser
from tests.support.modes import Mode
from tests.support.statements import count_from_now, statements_sent
from tests.support.system import System

REQUESTS = 20
MOST_PER_REQUEST = {
    Mode.DIRECT: 12,
    Mode.EVENTING: 12,
    Mode.TWICE: 24,
}  # with room for announcing each, on a slow machine


async def test_a_request_costs_at_most_so_many_statements(system: System) -> None:
    """A new session each, one model call."""
    async with superuser(system.database_url) as connection:
        await system.ask("alice", "hello")
        await system.idle()
        await count_from_now(connection)
        seen = len(system.model.seen)
        for _ in range(REQUESTS):
            await system.ask("alice", "hello")
        spent = await statements_sent(connection)
    assert len(system.model.seen) - seen == REQUESTS
    assert REQUESTS <= len(spent) <= REQUESTS * MOST_PER_REQUEST[system.ingress.mode], Counter(spent)
