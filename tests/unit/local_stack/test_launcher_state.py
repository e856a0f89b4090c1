"""The state folder: secrets, the run file, the run lock, the file for the command line."""

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from local_stack.problems import LaunchProblem
from local_stack.processes import Started, find, note
from local_stack.state import RunFile, load_secrets, read_env, take_run_lock, write_env

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first = load_secrets(tmp_path)
    assert load_secrets(tmp_path) == first
    assert len(first.service_token_key) >= 32
    assert mode_of(tmp_path / "secrets.json") == 0o600
    assert first.service_token_key not in repr(first)


def test_a_secrets_file_of_an_older_version_is_completed(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text('{"secrets_key": "kept", "gone": 1}')
    secrets = load_secrets(tmp_path)
    assert secrets.secrets_key == "kept"
    assert load_secrets(tmp_path) == secrets


def test_the_env_file_comes_back_as_it_was_written_and_is_private(tmp_path: Path) -> None:
    values = {"SSA_URL": "http://127.0.0.1:8080", "SSA_TOKEN": "a=b"}
    write_env(tmp_path, values)
    assert read_env(tmp_path) == values
    assert mode_of(tmp_path / "env") == 0o600
    assert read_env(tmp_path / "nowhere") == {}


def test_a_second_runner_is_told_who_has_the_lock(tmp_path: Path) -> None:
    with take_run_lock(tmp_path), pytest.raises(LaunchProblem, match=f"pid {os.getpid()}"):
        take_run_lock(tmp_path)
    take_run_lock(tmp_path).close()


def test_leftovers_of_an_earlier_run_are_ended(tmp_path: Path) -> None:
    with subprocess.Popen(SLEEPER, start_new_session=True) as process:
        RunFile(tmp_path).add(note("sleeper", process, SLEEPER))
        assert RunFile(tmp_path).end_leftovers() == ["sleeper"]
        assert process.wait(timeout=60) is not None
    assert RunFile(tmp_path).read() == []


def test_a_process_that_only_has_the_pid_of_a_leftover_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(SLEEPER, start_new_session=True) as process:
        real = note("sleeper", process, SLEEPER)
        strangers = [
            replace(real, started_at=real.started_at - 60),
            replace(real, command=["python", "-m", "agent_service"]),
        ]
        for stranger in strangers:
            RunFile(tmp_path).add(stranger)
            assert RunFile(tmp_path).end_leftovers() == []
        assert process.poll() is None
        process.kill()


def test_a_record_of_a_process_that_is_gone_finds_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(timeout=60)
        gone = note("gone", process, SLEEPER)
    assert find(gone) is None
    assert find(Started("gone", process.pid, psutil.boot_time(), SLEEPER)) is None


@pytest.mark.parametrize("content", ["", "no json", "[1]", '[{"name": "x"}]'])
def test_a_run_file_that_nobody_can_read_is_no_obstacle(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    assert RunFile(tmp_path).end_leftovers() == []
