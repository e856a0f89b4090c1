"""A stage with neighbours, and one request-manager on it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.request_manager import Replica, Someone, Stage, stage


@pytest.fixture(name="stage")
async def stage_fixture(database_url: str) -> AsyncIterator[Stage]:
    async with stage(database_url) as made:
        yield made


@pytest.fixture
async def replica(stage: Stage) -> AsyncIterator[Replica]:
    async with stage.replica() as running:
        yield running


@pytest.fixture
async def ana(stage: Stage) -> Someone:
    return await stage.person("ana")


@pytest.fixture
async def ben(stage: Stage) -> Someone:
    return await stage.person("ben")
