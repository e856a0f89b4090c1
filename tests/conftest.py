"""Plugins of the whole test suite. Fixtures live in `tests/support/`."""

import sys
from pathlib import Path

import pytest
from shared_models.logging import configure_logging

pytest_plugins = [
    *("tests.support.database", "tests.support.measures", "tests.support.modes", "tests.support.skips"),
    "tests.support.stack",
]

configure_logging("tests", level="WARNING", stream=sys.stderr)

TESTS = Path(__file__).parent
# Whole stacks are started by one process at a time; one Docker Engine is enough.
TOGETHER = ("process/", "deploy/docker/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n`, who runs together: the tests of a file, which share what it starts; and all that start whole stacks."""
    for item in items:
        path = item.path.relative_to(TESTS).as_posix()
        group = next((folder for folder in TOGETHER if path.startswith(folder)), path)
        item.add_marker(pytest.mark.xdist_group(group))
