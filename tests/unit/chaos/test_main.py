"""What of all runs together makes the suite fail."""

from pathlib import Path

import pytest

from tests.chaos import __main__ as suite
from tests.chaos.stack import Stack
from tests.chaos.storm import Result


def test_a_run_that_breaks_off_has_failed_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_arguments: object, **_more: object) -> None:
        raise TimeoutError("never ready")

    def never(_stack: Stack) -> Result:
        raise AssertionError

    monkeypatch.setattr(suite, "running_stack", break_off)
    monkeypatch.setattr(suite, "folder_of", lambda name: tmp_path / name)
    result = suite.run("storm", "direct", 1, never)
    assert not result.findings.is_clean
    assert "never ready" in result.findings.words()
