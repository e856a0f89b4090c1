"""With `-n`, which tests run together in one process, and in which order: what takes longest first.

Groups of pytest-xdist 3.8 (`--dist loadgroup`) are not seen by pytest 9.2, hence a scheduler of our own."""

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# All that starts whole stacks, and all that needs the Docker Engine: more than one at a time is too much for two cores.
AS_ONE = ("tests/process/", "tests/deploy/docker/")
LONGEST_FIRST = ("tests/process/", "tests/deploy/docker/", "tests/e2e/", "tests/conformance/", "tests/integration/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(item.nodeid))


def _rank(node_id: str) -> int:
    ranks = (rank for rank, folder in enumerate(LONGEST_FIRST) if node_id.startswith(folder))
    return next(ranks, len(LONGEST_FIRST))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """The tests of a file stay together, which share what it starts. Take `--no-loadscope-reorder` with it."""
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = group_of
    return scheduler


def group_of(node_id: str) -> str:
    """The name of the group of a test: its file's path, or one of AS_ONE."""
    return next((folder for folder in AS_ONE if node_id.startswith(folder)), node_id.partition("::")[0])
