"""Runs from hand-over to end, in both ways of handing over."""

from collections.abc import AsyncIterator

import pytest
from shared_models.enums import RequestStatus

from tests.support.agent_world import AgentWorld, agent_world, says


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[AgentWorld]:
    async with agent_world(database_url) as started:
        yield started


async def test_a_question_is_answered_by_the_model(world: AgentWorld) -> None:
    world.model.will(says("You have one laptop."))
    answer = await world.ask("How many laptops do I have?")
    assert answer.status is RequestStatus.COMPLETED
    assert answer.response is not None
    assert answer.response.content == "You have one laptop."
    assert answer.response.agent.name == "routing-agent"
    assert answer.response.usage.model_calls == 1
