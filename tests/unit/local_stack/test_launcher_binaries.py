"""Where PostgreSQL's programs come from, and what is said when they do not run."""

from pathlib import Path

import pytest
from local_stack.postgres_binaries import find_binaries, major_version, missing_library, runnable_binaries
from local_stack.problems import LaunchProblem


def test_the_programs_come_from_the_wheel() -> None:
    programs = find_binaries()
    assert (programs / "initdb").exists()
    assert int(major_version(programs)) >= 18


def test_a_chosen_folder_without_postgres_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaunchProblem, match="holds no postgres program"):
        find_binaries(tmp_path)


@pytest.mark.parametrize(
    ("message", "fix"),
    [
        ("postgres: error while loading shared libraries: libz.so.1: cannot open", "apt-get install zlib1g"),
        (
            "error while loading shared libraries: libfoo.so.7: cannot open shared object",
            "the package with libfoo.so.7",
        ),
        ("something else\nwent wrong", "PostgreSQL does not run here: something else went wrong"),
    ],
)
def test_a_missing_library_is_named_with_its_package(message: str, fix: str) -> None:
    assert fix in missing_library(message)


def test_a_program_that_does_not_run_is_one_plain_line(tmp_path: Path) -> None:
    broken = tmp_path / "postgres"
    broken.write_text("#!/bin/sh\necho 'libz.so.1: cannot open shared object file' >&2\nexit 127\n")
    broken.chmod(0o755)
    with pytest.raises(LaunchProblem, match="apt-get install zlib1g"):
        runnable_binaries(tmp_path, tmp_path, None)


def test_a_program_for_another_system_is_one_plain_line(tmp_path: Path) -> None:
    foreign = tmp_path / "postgres"
    foreign.write_text("#!/nowhere/interpreter\n")
    foreign.chmod(0o755)
    with pytest.raises(LaunchProblem, match="does not run here"):
        runnable_binaries(tmp_path, tmp_path, None)
