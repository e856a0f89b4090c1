"""What the services have sent to the database, without what they send by the clock: a slow machine must not change the count."""

import asyncpg

# Renewals of workers, claims, the look at all waiters, upkeep and retention.
BY_THE_CLOCK = (
    "workers",
    "skip locked",
    "any(",
    "pg_notify",
    "pg_catalog",
    "pg_try_advisory",
)
SENT = """
select s.query, s.calls from pg_stat_statements s join pg_roles r on r.oid = s.userid
where r.rolname like 'ssa\\_%' and s.dbid = (select oid from pg_database where datname = current_database())
"""


async def count_from_now(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.execute("create extension if not exists pg_stat_statements")
    await connection.execute("select pg_stat_statements_reset()")


async def statements_sent(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """How each begins, as often as it was sent since `count_from_now`."""
    rows = [(" ".join(row["query"].split()), row["calls"]) for row in await connection.fetch(SENT)]
    return [query[:90] for query, calls in rows if not is_by_the_clock(query.lower()) for _ in range(calls)]


def is_by_the_clock(query: str) -> bool:
    return query.startswith(("begin", "commit", "rollback")) or any(word in query for word in BY_THE_CLOCK)
