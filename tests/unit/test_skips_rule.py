"""The rule that a test which does not run fails the session, tried on a session of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.skips import LIST, MOST, parse

REPOSITORY = Path(__file__).parents[2]
TESTS = """
import pytest

def test_that_runs() -> None:
    pass

@pytest.mark.skip
def test_that_is_skipped() -> None:
    pass

@pytest.mark.xfail(strict=False)
def test_that_may_fail() -> None:
    raise AssertionError
"""


def run_pytest(folder: Path, *arguments: str, ci: str = "") -> tuple[int, str]:
    (folder / "test_some.py").write_text(TESTS)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CI": ci}
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.skips", "-p", "no:cacheprovider", *arguments]
    answer = subprocess.run(
        [*command, str(folder)], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    return answer.returncode, answer.stdout


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "workers"])
def test_skips_and_expected_failures_fail_a_session_in_which_all_else_passes(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    code, output = run_pytest(tmp_path, *workers)
    assert code == 1
    assert "test_some.py::test_that_is_skipped (skipped)" in output
    assert "test_some.py::test_that_may_fail (expected to fail)" in output


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "workers"])
def test_a_selection_by_hand_may_deselect_but_not_in_ci(tmp_path: Path, workers: tuple[str, ...]) -> None:
    assert run_pytest(tmp_path, *workers, "-k", "that_runs")[0] == 0
    code, output = run_pytest(tmp_path, *workers, "-k", "that_runs", ci="true")
    assert code == 1
    assert "test_some.py::test_that_is_skipped (deselected)" in output


def test_the_list_wants_a_reason_and_stays_short() -> None:
    assert parse("# words\n\ntests/a.py::test_b  # no such hardware\n") == ("tests/a.py::test_b",)
    with pytest.raises(ValueError, match="no reason"):
        parse("tests/a.py::test_b\n")
    with pytest.raises(ValueError, match="at most 5"):
        parse("".join(f"tests/a.py::test_{n}  # because\n" for n in range(MOST + 1)))


def test_the_list_of_this_repository_can_be_read() -> None:
    assert len(parse(LIST.read_text())) <= MOST
