"""What request-manager sends to the database for one question: accept and complete, nothing else."""

from collections import Counter

import asyncpg
from request_manager.store.accept import ACCEPT
from request_manager.store.people import KEYS_BY_PREFIX
from request_manager.store.requests import COMPLETE

from tests.support.database import superuser
from tests.support.request_manager import Replica, Someone, Stage

HOT = {"accept": ACCEPT, "complete": COMPLETE, "key": KEYS_BY_PREFIX}
# What goes by the clock, and so more often on a slow machine; the last is the look at all waiters.
BACKGROUND = (
    "skip locked",
    "insert into workers",
    "pg_stat_statements",
    "pg_try_advisory",
    "update request_logs set idem",
    "r.request_id = any($1::uuid[]) and r.ended_at is not null",
)


def name_of(query: str) -> str:
    """By how a statement begins: the constants further on are replaced."""
    words = query.split()[:8]
    return next((name for name, statement in HOT.items() if statement.split()[:8] == words), query)


async def statements(admin: "asyncpg.Connection[asyncpg.Record]") -> Counter[str]:
    rows = await admin.fetch(
        "select query, calls from pg_stat_statements where dbid = (select oid from pg_database"
        " where datname = current_database()) and toplevel"
    )
    seen = {row["query"]: row["calls"] for row in rows}
    quiet = {query: calls for query, calls in seen.items() if not any(word in query for word in BACKGROUND)}
    counts: Counter[str] = Counter()
    for query, calls in quiet.items():
        counts[name_of(query)] += calls
    return counts


async def test_a_question_costs_two_statements(stage: Stage, replica: Replica, ana: Someone) -> None:
    await replica.ask(ana)
    async with superuser(stage.database_url) as admin:
        await admin.execute("create extension pg_stat_statements")
        before = await statements(admin)
        for n in range(10):
            assert (await replica.ask(ana, f"question {n}")).status_code == 200
        after = await statements(admin)
    assert after - before == Counter({"accept": 10, "complete": 10})
