"""Plugins of the whole test suite. Fixtures live in `tests/support/`."""

import sys

from shared_models.logging import configure_logging

pytest_plugins = ["tests.support.database", "tests.support.modes", "tests.support.skips", "tests.support.stack"]

configure_logging("tests", level="WARNING", stream=sys.stderr)
