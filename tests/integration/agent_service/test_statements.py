"""What a run costs in statements: the one number that catches a lost round trip without a clock."""

from typing import Any

from shared_models.ids import new_id

from tests.support.agent_world import ANA, AgentWorld, agent_world
from tests.support.database import superuser
from tests.support.scripted_outside import calls, says
from tests.support.statements import count_from_now, statements_sent

# Neither the sweep nor the announcement of a run that takes long belongs to what is counted here.
PATIENT: dict[str, Any] = {"sweep_every_s": 3600, "processing_after_s": 3600}


async def statements_of(world: AgentWorld, contents: list[str]) -> list[str]:
    """The statements of requests of one session, one after the other, as the service sent them."""
    async with superuser(world.database_url) as connection:
        session = new_id()
        await world.ask("warm", person=ANA)
        await count_from_now(connection)
        for content in contents:
            await world.ask(content, session=session)
        return await statements_sent(connection)


async def test_a_run_with_one_model_call_takes_three_statements_and_the_first_of_a_session_two(
    database_url: str,
) -> None:
    async with agent_world(database_url, **PATIENT) as world:
        sent = await statements_of(world, ["Hello"] * 10)
        assert len(sent) == 2 + 9 * 3, sent


async def test_each_tool_call_adds_at_most_two_statements(database_url: str) -> None:
    async with agent_world(database_url, **PATIENT) as world:
        world.model.will(says("warm"), calls(("search_knowledge", {"query": "a"})), says("Found."))
        sent = await statements_of(world, ["Hello"])
        assert len(sent) == 4, "\n".join(sent)


async def test_a_person_who_watches_costs_nothing_when_nobody_does(database_url: str) -> None:
    async with agent_world(database_url, **PATIENT) as world:
        sent = await statements_of(world, ["Hello"])
        assert not [query for query in sent if "run_events" in query]
