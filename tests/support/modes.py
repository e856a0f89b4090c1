"""Every end-to-end test runs in every mode, with the same assertions; a test that chooses among them fails at collection.

The summary counts the tests by mode and lists those that did not pass in each."""

import re
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

FIXTURE = "system"
FOLDER = "e2e"
PASSED = "passed"
PROPERTY = "mode"
RANK = ("", PASSED, "skipped", "failed", "error")


class Mode(StrEnum):
    """How messages travel; each value is the id of the fixture's parameter. `TWICE`: eventing at its worst."""

    DIRECT = "direct"
    EVENTING = "eventing"
    TWICE = "twice"

    @property
    def words(self) -> str:
        return "eventing twice" if self is Mode.TWICE else self.value


def mode_of(item: pytest.Item) -> Mode | None:
    """None: the item does not get a mode from the fixture."""
    callspec = getattr(item, "callspec", None)
    mode = callspec.params.get(FIXTURE) if callspec is not None else None
    return mode if isinstance(mode, Mode) else None


def name_without_mode(item: pytest.Item) -> str:
    """The node id as it would be without the fixture's parameter: equal for all modes of a test."""
    mode = mode_of(item)
    before, bracket, inside = item.nodeid.partition("[")
    if mode is None or not bracket:
        return item.nodeid
    parts = re.split(rf"(?:^|(?<=-)){mode.value}(?:-|(?=\])|$)", inside.removesuffix("]"), maxsplit=1)
    rest = "".join(parts).removesuffix("-")
    return f"{before}[{rest}]" if rest else before


def incomplete(items: Iterable[pytest.Item]) -> list[str]:
    """What is wrong with the tests of one module or class: a line for each that does not run in every mode."""
    modes: dict[str, set[Mode | None]] = {}
    for item in items:
        modes.setdefault(name_without_mode(item), set()).add(mode_of(item))
    return [
        f"{name}: runs in {', '.join(sorted(mode.value if mode else 'no mode' for mode in found))}; "
        f"an end-to-end test takes the fixture `{FIXTURE}` as it is and so runs in {', '.join(Mode)}"
        for name, found in modes.items()
        if found != set(Mode)
    ]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Looks at whole modules, before single tests are chosen by name."""
    report = yield
    if report.passed and collector.path.parent.name == FOLDER:
        wrong = incomplete(item for item in report.result if isinstance(item, pytest.Item))
        if wrong:
            report.outcome = "failed"
            report.longrepr = "\n".join(wrong)
            report.result = []
    return report


@dataclass
class Outcomes:
    """`found`: the worst outcome so far by test and mode."""

    found: dict[str, dict[Mode, str]] = field(default_factory=dict)

    def add(self, name: str, mode: Mode, outcome: str) -> None:
        by_mode = self.found.setdefault(name, {})
        by_mode[mode] = max(by_mode.get(mode, ""), outcome, key=RANK.index)

    def lines(self) -> list[str]:
        """First the counts, then a line for each test that did not pass in every mode that was run."""
        ran = [mode for mode in Mode if any(mode in by_mode for by_mode in self.found.values())]
        columns = [f"{mode.words} {self._counts(mode)}" for mode in ran]
        rows = [
            f"  {name}: " + ", ".join(f"{mode.words} {by_mode.get(mode, 'not run')}" for mode in ran)
            for name, by_mode in sorted(self.found.items())
            if set(by_mode.values()) != {PASSED} or len(by_mode) != len(ran)
        ]
        return [f"{FOLDER}: {len(self.found)} tests, {', '.join(columns)}", *rows]

    def _counts(self, mode: Mode) -> str:
        counts = Counter(by_mode[mode] for by_mode in self.found.values() if mode in by_mode)
        return " ".join(f"{counts[outcome]} {outcome}" for outcome in RANK if counts[outcome])


OUTCOMES = pytest.StashKey[Outcomes]()


def pytest_configure(config: pytest.Config) -> None:
    outcomes = config.stash[OUTCOMES] = Outcomes()
    config.pluginmanager.register(Reports(outcomes), "reports-for-modes")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    mode = mode_of(item)
    if mode is not None:
        report.user_properties.append((PROPERTY, (name_without_mode(item), mode.value)))
    return report


class Reports:
    """Reports come from the processes that run the tests to the one that prints."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for key, value in report.user_properties:
            if key == PROPERTY and (report.when == "call" or not report.passed):
                assert isinstance(value, tuple | list)
                is_error = report.failed and report.when != "call"
                self._outcomes.add(value[0], Mode(value[1]), "error" if is_error else report.outcome)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    outcomes = config.stash[OUTCOMES]
    if outcomes.found:
        terminalreporter.section("modes")
        for line in outcomes.lines():
            terminalreporter.line(line)
