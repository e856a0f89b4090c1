"""Plugins of the whole test suite. Fixtures live in `tests/support/`."""

import sys

from hypothesis import HealthCheck, settings
from shared_models.logging import configure_logging

pytest_plugins = [
    *("tests.support.database", "tests.support.groups", "tests.support.measures", "tests.support.modes"),
    *("tests.support.skips", "tests.support.stack"),
]

configure_logging("tests", level="WARNING", stream=sys.stderr)

# The same examples in every run, and no clock: `--hypothesis-profile default` looks for others.
settings.register_profile(
    "tests", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")
