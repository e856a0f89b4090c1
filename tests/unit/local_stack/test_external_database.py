"""Which database the environment names, and what a person reads when it will not do."""

from pathlib import Path

import pytest
from local_stack.database_check import check
from local_stack.external_database import external_url, libpq_url
from local_stack.ports import free_port
from local_stack.problems import LaunchProblem
from local_stack.settings import UpSettings


@pytest.mark.parametrize(
    "given",
    ["postgres://u:p@db/name", "postgresql://db:6000/name?sslmode=require", "postgresql+asyncpg://db/name?ssl=require"],
)
def test_database_url_wins(given: str) -> None:
    settings = UpSettings.model_validate({"database_url": f" {given} ", "pghost": "elsewhere"})
    assert external_url(settings, {"PGHOST": "elsewhere"}) == given


def test_without_any_name_the_embedded_server_is_used() -> None:
    assert external_url(UpSettings.model_validate({}), {}) is None


def test_another_kind_of_url_is_refused_with_the_fix() -> None:
    with pytest.raises(LaunchProblem, match="must begin with postgresql://"):
        external_url(UpSettings.model_validate({"database_url": "mysql://u:secret@db/name"}), {})


def test_in_kubernetes_nothing_falls_back_to_the_embedded_server() -> None:
    settings = UpSettings.model_validate({"kubernetes_service_host": "10.0.0.1"})
    with pytest.raises(LaunchProblem, match="set DATABASE_URL"):
        external_url(settings, {})


def test_the_libpq_environment_becomes_a_url() -> None:
    tcp = {"PGHOST": "db", "PGPORT": "6000", "PGUSER": "ann", "PGPASSWORD": "a/b", "PGDATABASE": "x"}
    assert libpq_url(tcp) == "postgresql://ann:a%2Fb@db:6000/x"
    assert libpq_url({"PGHOST": "/run/pg", "PGUSER": "ann"}) == "postgresql://ann@/ann?host=%2Frun%2Fpg&port=5432"


def test_a_libpq_service_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "services.conf"
    file.write_text("[mine]\nhost=db\nuser=ann\npassword=100%\ndbname=x\n")
    environment = {"PGSERVICE": "mine", "PGSERVICEFILE": str(file), "PGDATABASE": "y"}
    assert libpq_url(environment) == "postgresql://ann:100%25@db:5432/y"
    with pytest.raises(LaunchProblem, match="PGSERVICE=other is not in"):
        libpq_url(environment | {"PGSERVICE": "other"})


def test_an_unreachable_database_is_one_line_that_names_the_fix_and_no_password() -> None:
    port = free_port()
    with pytest.raises(LaunchProblem) as problem:
        check(f"postgresql://ann:hush@127.0.0.1:{port}/x")
    assert f"127.0.0.1:{port}" in str(problem.value)
    assert "DATABASE_URL" in str(problem.value)
    assert "hush" not in str(problem.value)
    assert "\n" not in str(problem.value)
