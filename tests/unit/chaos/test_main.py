"""What of all runs together makes the suite fail."""

from pathlib import Path

import pytest

from tests.chaos import __main__ as suite
from tests.chaos.audit import Findings
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


def storms(missed: dict[str, list[list[str]]], *, kills: int = 36, accepted: int = 1700) -> list[Result]:
    return [
        Result(f"storm-{mode}-{seed}", Findings(accepted=accepted), kills, never_struck=never)
        for mode, each in missed.items()
        for seed, never in enumerate(each, start=1)
    ]


def test_a_point_must_kill_in_each_mode() -> None:
    begun, sent = "agent_service.begun", "agent_service.event.sent"
    results = storms({"direct": [[begun, sent], [begun], [begun, sent]], "eventing": [[], [sent], []]})
    assert suite.never_struck(results) == [f"in direct mode nobody died at {begun} in 3 storms"]
    assert suite.never_struck(results[1:]) == []


def test_all_storms_together_must_be_as_much_as_they_are_meant_to_be() -> None:
    all_hit: dict[str, list[list[str]]] = {"direct": [[], [], []], "eventing": [[], [], []]}
    assert suite.too_little(storms(all_hit)) == []
    assert suite.too_little(storms(all_hit, kills=30))
    assert suite.too_little(storms(all_hit, accepted=1600))
    assert suite.too_little(storms(all_hit, kills=30)[1:]) == []
