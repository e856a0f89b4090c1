"""The floor, the fake model and the load generator as the processes that `make bench` starts."""

from pathlib import Path

from local_stack.postgres import PostgresCluster

from tests.load.floor import running_floor
from tests.load.generator import Job, perform, run_job
from tests.load.model import running_model
from tests.load.usage import cpu_s, rss_mb
from tests.support.database import temporary_database


async def test_the_floor_answers_every_request_with_its_nonce_and_one_model_call(
    postgres_cluster: PostgresCluster, tmp_path: Path
) -> None:
    with (
        temporary_database(postgres_cluster, "template1") as url,
        running_model(tmp_path / "model.log") as model,
        running_floor(url, model.url, tmp_path / "floor.log") as floor,
    ):
        outcome = await perform(Job(floor.answered_url, clients=4, count=20))
        assert (outcome.right, outcome.wrong) == (20, 0)
        assert len(set(outcome.nonces)) == 20
        assert model.calls == 20
        accepted = run_job(Job(floor.accepted_url, clients=2, count=6, expects="accepted"))
        assert (accepted.right, accepted.wrong) == (6, 0)
        assert model.calls == 20
        model.control(latency_ms=0)
        assert model.calls == 0
        pid = floor.pids["floor"]
        assert cpu_s(pid) > 0
        assert rss_mb(pid) > 10


async def test_a_wrong_answer_and_a_missing_key_are_counted_as_errors(tmp_path: Path) -> None:
    with running_model(tmp_path / "model.log") as model:
        wrong = await perform(Job(f"{model.url}/v1/models", clients=1, count=2))
        assert wrong.errors == {"status 404": 2}
        keyless = await perform(Job(f"{model.url}/v1/responses", clients=1, count=2, keys=["only-one"]))
        assert keyless.right == 1
        assert keyless.errors == {"out of keys": 1}
