"""Fixtures of the deployment checks: `make check-deploy` runs them, `make test` does not."""

from collections.abc import Iterator

import pytest

from tests.deploy.docker.compose import Compose
from tests.deploy.docker.engine import engine_with_images


@pytest.fixture(scope="session")
def compose() -> Iterator[Compose]:
    """A Docker Engine with the images of docker-compose.yml built, and a project of its own; everything gone afterwards."""
    with engine_with_images() as (engine, variables):
        project = Compose(engine, variables)
        try:
            yield project
        finally:
            project.down()
