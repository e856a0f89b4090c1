"""The short form of `make chaos`: everything dies again and again in both modes, then the audit looks; and the engine alone."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_stack.ports import free_port
from local_stack.postgres import ClusterOptions, PostgresCluster

from tests.chaos.engine import EngineSize, run_engine
from tests.chaos.stack import DATABASE, MODES, running_stack
from tests.chaos.storm import Size, folder_of, storm

SEED = 7
SHORT = Size(kills=10, accepted=250, most_s=75, talkers=12, owners=4, laptops_within_s=25)
SHORT_ENGINE = EngineSize(rows=4000, most_s=180)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", MODES)
def test_every_promise_is_kept_while_everything_dies(mode: str) -> None:
    folder = folder_of(f"short-{mode}-{SEED}")
    with running_stack(folder, mode, seed=SEED) as stack:
        result = storm(stack, SEED, SHORT)
    assert result.findings.is_clean, f"{result.findings.words()}\nfiles: {folder}"
    assert result.kills > 0, "nothing was killed"
    assert result.findings.accepted > 0, "nothing was accepted"
    shutil.rmtree(folder)


@pytest.fixture
def mortal_cluster(tmp_path: Path) -> Iterator[PostgresCluster]:
    """A cluster of its own, at a port that stays the same when it is started again."""
    home = Path(tempfile.mkdtemp(prefix="ssa-engine-"))
    home.chmod(0o755)
    options = ClusterOptions(port=free_port(), settings=tuple(DATABASE.items()))
    cluster = PostgresCluster(home / "cluster", log=tmp_path / "postgres.log", options=options)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(home)


@pytest.mark.timeout(1800)
def test_the_engine_alone_loses_nothing_and_keeps_each_lane_in_order(
    mortal_cluster: PostgresCluster, tmp_path: Path
) -> None:
    result = run_engine(mortal_cluster, tmp_path, SHORT_ENGINE, SEED)
    assert result.is_clean, f"{result.words()} (seed {SEED}, files: {tmp_path})"
    assert result.kills > 0, "nothing was killed"
