"""A started agent-service with scripted surroundings."""

from collections.abc import AsyncIterator

import pytest

from tests.support.agent_world import AgentWorld, agent_world


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[AgentWorld]:
    async with agent_world(database_url) as started:
        yield started
