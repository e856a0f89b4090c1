"""Plugins of the whole test suite. Fixtures live in `tests/support/`."""

pytest_plugins = ["tests.support.database", "tests.support.skips"]
