"""What the tests measure, told at the end of the run, also of tests that ran in other processes."""

from collections.abc import Callable

import pytest

type Measured = Callable[[str, object], None]
PREFIX = "measured: "


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Keep a value under a name."""
    return lambda name, value: record_property(PREFIX + name, value)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    values = {name: value for each in reports for name, value in each.user_properties if name.startswith(PREFIX)}
    if values:
        terminalreporter.section("measured")
    for name, value in values.items():
        terminalreporter.line(f"{name.removeprefix(PREFIX)}: {value}")
