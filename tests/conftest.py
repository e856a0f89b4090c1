"""Plugins of the whole test suite. Fixtures live in `tests/support/`."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from shared_models.logging import configure_logging

pytest_plugins = [
    *("tests.support.database", "tests.support.measures", "tests.support.modes", "tests.support.skips"),
    "tests.support.stack",
]

configure_logging("tests", level="WARNING", stream=sys.stderr)

TESTS = Path(__file__).parent

# The same examples in every run, and no clock: `--hypothesis-profile default` looks for others.
settings.register_profile(
    "tests", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n`, who runs together: the tests of a file, which share what it starts; and all that start whole stacks."""
    for item in items:
        first, *rest = item.path.relative_to(TESTS).parts
        item.add_marker(pytest.mark.xdist_group(first if first == "process" else "/".join([first, *rest])))
