"""What a run costs in statements: the one number that catches a lost round trip without a clock."""

from shared_models.ids import new_id

from tests.support.agent_world import ANA, AgentWorld, agent_world
from tests.support.database import superuser
from tests.support.scripted_outside import calls, says

# What every process sends now and then, however many requests there are: renewals, claims, the look at all waiters.
HOUSEKEEPING = (
    "workers",
    "skip locked",
    "any(",
    "pg_notify",
    "pg_stat_statements",
    "pg_catalog",
)
COUNT = """
select query, calls from pg_stat_statements
where dbid = (select oid from pg_database where datname = current_database()) and calls > 0
"""


def is_housekeeping(query: str) -> bool:
    return query.startswith(("begin", "commit", "rollback")) or any(word in query for word in HOUSEKEEPING)


async def statements_of(world: AgentWorld, contents: list[str]) -> list[str]:
    """The statements of requests of one session, one after the other, as the service sent them."""
    async with superuser(world.database_url) as connection:
        await connection.execute("create extension if not exists pg_stat_statements")
        session = new_id()
        await world.ask("warm", person=ANA)
        await connection.execute("select pg_stat_statements_reset()")
        for content in contents:
            await world.ask(content, session=session)
        rows = await connection.fetch(COUNT)
    sent = [(" ".join(row["query"].split()), row["calls"]) for row in rows]
    own = [(query, times) for query, times in sent if not is_housekeeping(query.lower())]
    return [query[:90] for query, times in own for _ in range(times)]


async def test_a_run_with_one_model_call_takes_three_statements_and_the_first_of_a_session_two(
    database_url: str,
) -> None:
    async with agent_world(database_url) as world:
        sent = await statements_of(world, ["Hello"] * 10)
        assert len(sent) == 2 + 9 * 3, sent


async def test_each_tool_call_adds_at_most_two_statements(database_url: str) -> None:
    async with agent_world(database_url) as world:
        world.model.will(says("warm"), calls(("search_knowledge", {"query": "a"})), says("Found."))
        sent = await statements_of(world, ["Hello"])
        assert len(sent) == 4, "\n".join(sent)


async def test_a_person_who_watches_costs_nothing_when_nobody_does(database_url: str) -> None:
    async with agent_world(database_url) as world:
        sent = await statements_of(world, ["Hello"])
        assert not [query for query in sent if "run_events" in query]
