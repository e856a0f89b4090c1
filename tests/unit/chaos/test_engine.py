"""What the run of the durable engine alone calls a violation."""

from pathlib import Path

import pytest

from tests.chaos.engine import EngineResult, EngineSize, judge
from tests.chaos.lines import Lines

SIZE = EngineSize(rows=4)
KEYS = ("writer 0, lane 0", "writer 0, lane 1")
WHOLE = [(KEYS[0], 0), (KEYS[1], 0), (KEYS[0], 1), (KEYS[1], 1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One writer saw two rows of two lanes committed."""
    ledger = Lines(tmp_path / "writer-0.jsonl")
    for key, number in WHOLE:
        ledger.add(key=key, number=number)
    return tmp_path


def judged(folder: Path, effects: list[tuple[str, int]]) -> EngineResult:
    result = judge(folder, effects, SIZE)
    result.kills = 1
    return result


def test_all_rows_in_order_are_clean_and_so_is_a_repeat(folder: Path) -> None:
    result = judged(folder, [*WHOLE, WHOLE[0]])
    assert result.is_clean, result.words()


def test_a_committed_row_that_nobody_handled_is_lost(folder: Path) -> None:
    result = judged(folder, WHOLE[:-1])
    assert not result.is_clean
    assert f"{KEYS[1]}: 1" in result.words()


def test_a_lane_out_of_order_is_found(folder: Path) -> None:
    result = judged(folder, [WHOLE[2], *WHOLE[:2], WHOLE[3]])
    assert not result.is_clean
    assert result.out_of_order == [f"{KEYS[0]}: 0 after 1"]


def test_rows_that_were_never_written_are_missed(folder: Path) -> None:
    (folder / "writer-0.jsonl").unlink()
    result = judged(folder, WHOLE[:3])
    assert not result.is_clean
    assert "3 rows" in result.words()


def test_a_run_without_a_death_proves_nothing(folder: Path) -> None:
    result = judge(folder, WHOLE, SIZE)
    assert not result.is_clean
    assert "nothing was killed" in result.words()
