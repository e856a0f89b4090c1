"""The rule that an end-to-end test runs in every mode, tried on a session of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.modes import Mode, Outcomes

REPOSITORY = Path(__file__).parents[2]
FIXTURE = """
import pytest
from tests.support.modes import Mode

@pytest.fixture(params=Mode)
def system(request):
    return request.param
"""
GOOD = """
import pytest

def test_that_runs(system) -> None:
    pass

@pytest.mark.parametrize("word", ["direct-eventing", "twice"])
def test_with_words_like_modes(system, word) -> None:
    pass
"""
WRONG = """
import pytest
from tests.support.modes import Mode

@pytest.mark.parametrize("system", [Mode.EVENTING], indirect=True)
def test_that_fixes_one(system) -> None:
    pass

def test_without_the_fixture() -> None:
    pass

def test_that_is_right(system) -> None:
    pass
"""
WRONG_IN_A_CLASS = """
import pytest

class TestSome:
    @pytest.mark.parametrize("system", ["direct", "eventing", "twice"])
    def test_that_names_them(self, system) -> None:
        pass
"""
FAILS_IN_ONE = """
def test_that_differs(system) -> None:
    assert system != "twice"

def test_that_passes(system) -> None:
    pass
"""


def run_pytest(folder: Path, tests: str, *chosen: str, more: str = "") -> tuple[int, str]:
    """Exit code and output of a session with these modules, or with what is chosen of them."""
    e2e = folder / "e2e"
    e2e.mkdir()
    (e2e / "conftest.py").write_text(FIXTURE)
    (e2e / "test_some.py").write_text(tests)
    (e2e / "test_more.py").write_text(more)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.modes", "-p", "no:cacheprovider", "-rA"]
    answer = subprocess.run(
        [*command, *(chosen or ["e2e"])],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return answer.returncode, answer.stdout


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "workers"])
def test_a_test_that_takes_the_fixture_as_it_is_runs_in_every_mode_and_is_counted(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    code, output = run_pytest(tmp_path, GOOD, *workers)
    assert code == 0, output
    assert "e2e: 3 tests, direct 3 passed, eventing 3 passed, eventing twice 3 passed\n" in output


def test_one_mode_of_a_test_can_be_chosen_by_hand(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, GOOD, "e2e/test_some.py::test_that_runs[eventing]")
    assert code == 0, output
    assert "e2e: 1 tests, eventing 1 passed\n" in output


def test_a_test_that_does_not_run_in_every_mode_fails_at_collection(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, WRONG, more=WRONG_IN_A_CLASS)
    assert code == pytest.ExitCode.INTERRUPTED
    for line in (
        "test_that_fixes_one: runs in eventing; an end-to-end test takes the fixture `system` as it is",
        "test_without_the_fixture: runs in no mode",
        "test_that_names_them[direct]: runs in no mode",
    ):
        assert line in output
    assert "test_that_is_right" not in output


def test_the_summary_lists_only_the_tests_whose_columns_differ_or_fail(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, FAILS_IN_ONE)
    assert code == 1
    summary = output.split(" modes ")[1].splitlines()[1:3]
    assert summary == [
        "e2e: 2 tests, direct 2 passed, eventing 2 passed, eventing twice 1 passed 1 failed",
        "  e2e/test_some.py::test_that_differs: direct passed, eventing passed, eventing twice failed",
    ]


def test_an_error_at_the_end_of_a_test_outweighs_its_success() -> None:
    outcomes = Outcomes()
    outcomes.add("test_a", Mode.DIRECT, "passed")
    outcomes.add("test_a", Mode.DIRECT, "error")
    outcomes.add("test_a", Mode.EVENTING, "passed")
    outcomes.add("test_b", Mode.DIRECT, "passed")
    assert outcomes.lines() == [
        "e2e: 2 tests, direct 1 passed 1 error, eventing 1 passed",
        "  test_a: direct error, eventing passed",
        "  test_b: direct passed, eventing not run",
    ]
