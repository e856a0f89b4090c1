"""What a request costs in SQL statements over all services: the number that catches a lost round trip without a clock.

Counted: 5.5 by direct HTTP, 8 as events, 11 when every event comes twice. The local broker's own are left out."""

from tests.support.database import superuser
from tests.support.modes import Mode
from tests.support.system import System

REQUESTS = 20
MOST_PER_REQUEST = {Mode.DIRECT: 12, Mode.EVENTING: 12, Mode.TWICE: 24}
COUNT = """
select coalesce(sum(s.calls), 0)::int from pg_stat_statements s join pg_roles r on r.oid = s.userid
where r.rolname like 'ssa\\_%' and s.dbid = (select oid from pg_database where datname = current_database())
"""


async def test_a_request_costs_at_most_so_many_statements(system: System) -> None:
    """A new session each, one model call; what the processes send by themselves in that time is counted too."""
    async with superuser(system.database_url) as connection:
        await connection.execute("create extension if not exists pg_stat_statements")
        await system.ask("alice", "hello")
        await system.idle()
        await connection.execute("select pg_stat_statements_reset()")
        seen = len(system.model.seen)
        for _ in range(REQUESTS):
            await system.ask("alice", "hello")
        spent = await connection.fetchval(COUNT)
    assert len(system.model.seen) - seen == REQUESTS
    assert REQUESTS <= spent <= REQUESTS * MOST_PER_REQUEST[system.ingress.mode]
