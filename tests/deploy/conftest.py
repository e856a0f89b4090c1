"""Fixtures of the deployment checks: `make check-deploy` runs them, `make test` does not."""

from collections.abc import Iterator

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

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


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With `-n`: a module's tests run in one process, which renders and scans once; those of the Docker Engine in one as well.

    Groups of pytest-xdist 3.8 (`--dist loadgroup`) are not seen by pytest 9.2, so that each test would go its own way."""
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = _together
    return scheduler


def _together(node_id: str) -> str:
    path = node_id.partition("::")[0]
    return "docker" if "/docker/" in path else path
