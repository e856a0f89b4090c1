"""A test that does not run fails the session, unless `tests/skips.txt` names it with its reason.

Counts skips, expected failures and deselections. A selection typed by hand (`-k`, `-m`, `--lf`, …) may deselect, but not
where CI is set."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

LIST = Path(__file__).parents[1] / "skips.txt"
MOST = 5
DESELECTED = "deselected"
SELECTING = ("-k", "-m", "--deselect", "--lf", "--last-failed", "--sw", "--stepwise")


@dataclass
class Skips:
    """`allowed` are node ids or their beginnings; `found` are the tests that did not run and are not named."""

    allowed: tuple[str, ...]
    selected_by_hand: bool
    found: list[str] = field(default_factory=list)
    deselected: list[str] = field(default_factory=list)

    def add(self, node_id: str, why: str) -> None:
        if not node_id.startswith(self.allowed):
            self.found.append(f"{node_id} ({why})")


def parse(text: str) -> tuple[str, ...]:
    """Lines `node id or its beginning  # reason`. Raises ValueError for a line without a reason and for too many lines."""
    entries = []
    for line in text.splitlines():
        node_id, _, reason = (part.strip() for part in line.partition("  #"))
        if not line.strip() or line.startswith("#"):
            continue
        if not reason:
            raise ValueError(f"no reason given for {node_id!r}: write `node id  # reason`")
        entries.append(node_id)
    if len(entries) > MOST:
        raise ValueError(f"{len(entries)} tests are named; at most {MOST} may be left out")
    return tuple(entries)


def is_typed_selection(arguments: Sequence[str]) -> bool:
    return any(argument.startswith(SELECTING) for argument in arguments)


SKIPS = pytest.StashKey[Skips]()


def pytest_configure(config: pytest.Config) -> None:
    try:
        allowed = parse(LIST.read_text())
    except ValueError as exc:
        raise pytest.UsageError(f"{LIST.name}: {exc}") from exc
    by_hand = is_typed_selection(config.invocation_params.args) and not os.environ.get("CI")
    skips = Skips(allowed, selected_by_hand=by_hand)
    config.stash[SKIPS] = skips
    config.pluginmanager.register(Reports(skips), "reports-for-skips")


class Reports:
    """Hooks without access to the configuration."""

    def __init__(self, skips: Skips) -> None:
        self._skips = skips

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "wasxfail"):
            self._skips.add(report.nodeid, "expected to fail")
        elif report.skipped:
            self._skips.add(report.nodeid, "skipped")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skips.add(report.nodeid, "skipped at import")

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._skips.deselected += [item.nodeid for item in items]
        self._leave_out([item.nodeid for item in items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """pytest-xdist forwards all but what its workers deselected; each of them deselects the same."""
        new = set(getattr(node, "workeroutput", {}).get(DESELECTED, [])) - set(self._skips.deselected)
        self._skips.deselected += sorted(new)
        self._leave_out(sorted(new))

    def _leave_out(self, node_ids: Sequence[str]) -> None:
        if not self._skips.selected_by_hand:
            for node_id in node_ids:
                self._skips.add(node_id, "deselected")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[DESELECTED] = session.config.stash[SKIPS].deselected
    if session.config.stash[SKIPS].found and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash[SKIPS].found
    if found:
        terminalreporter.section("left out, and not named in tests/skips.txt", red=True)
        for line in found:
            terminalreporter.line(line)
