"""What `make up` says when it cannot start: one plain line that names the fix, exit code 1, nothing left."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_stack.ports import free_port
from local_stack.settings import UpSettings

from tests.support.stack import END_WITHIN_S, open_folder, start_stack

PORTS = [name.upper() for name in UpSettings.model_fields if name.endswith("_port")]


@pytest.fixture
def state_dir() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder / "state"


def refusal(state_dir: Path, *arguments: str, **environment: str) -> str:
    """What it prints before it gives up."""
    stack = start_stack(state_dir, *arguments, environment=environment)
    assert stack.process.wait(timeout=END_WITHIN_S) == 1, stack.output
    assert not (state_dir / "run.json").exists()
    assert not (state_dir / "postgres" / "data" / "postmaster.pid").exists()
    assert "Traceback" not in stack.output
    return stack.output.strip()


def test_a_taken_port(state_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line = refusal(state_dir, REQUEST_MANAGER_PORT=str(port))
    assert line.startswith(f"Port {port} (request-manager) is taken by ")
    assert line.endswith("stop that program, or set REQUEST_MANAGER_PORT to a free port")


def test_a_taken_port_of_the_broker(state_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        others = {name: str(free_port()) for name in PORTS}
        line = refusal(state_dir, EVENTING_ENABLED="true", **(others | {"BROKER_PORT": port}))
    assert line.startswith(f"Port {port} (broker) is taken by ")
    assert line.endswith("stop that program, or set BROKER_PORT to a free port")


def test_a_broker_without_an_address(state_dir: Path) -> None:
    line = refusal(state_dir, "--free-ports", EVENTING_ENABLED="true", BROKER_URL="kafka:9092")
    assert line.startswith("BROKER_URL is no http address")
    assert "\n" not in line


def test_a_database_that_cannot_be_reached(state_dir: Path) -> None:
    port = free_port()
    line = refusal(state_dir, "--free-ports", DATABASE_URL=f"postgresql://ann:hush@127.0.0.1:{port}/x")
    assert line.startswith(f"PostgreSQL at 127.0.0.1:{port} cannot be reached")
    assert "DATABASE_URL" in line
    assert "\n" not in line
    assert "hush" not in line


def test_a_database_with_another_password(state_dir: Path, database_url: str) -> None:
    wrong = database_url.replace("postgres:", "postgres:wrong", 1)
    line = refusal(state_dir, "--free-ports", DATABASE_URL=wrong)
    assert line.endswith("refuses this user or password: correct DATABASE_URL")


def test_a_database_that_does_not_exist(state_dir: Path, database_url: str) -> None:
    wrong = database_url + "_not"
    line = refusal(state_dir, "--free-ports", DATABASE_URL=wrong)
    assert "has no database" in line


def test_a_port_that_is_no_number(state_dir: Path) -> None:
    line = refusal(state_dir, OGX_PORT="eight")
    assert line.startswith("OGX_PORT: ")
    assert "\n" not in line


def test_a_model_address_without_a_model(state_dir: Path) -> None:
    line = refusal(state_dir, "--free-ports", LLM_URL="http://127.0.0.1:1/v1")
    assert line == "LLM_URL is set, but no model: set LLM_MODEL to the model's name at this address"


def test_a_missing_library(state_dir: Path) -> None:
    programs = state_dir.parent / "bin"
    programs.mkdir()
    broken = programs / "postgres"
    broken.write_text("#!/bin/sh\necho 'libz.so.1: cannot open shared object file' >&2\nexit 127\n")
    broken.chmod(0o755)
    line = refusal(state_dir, "--free-ports", "--services-only", SELFSERVICE_PG_BIN=str(programs))
    assert line.startswith("PostgreSQL needs the library libz.so.1: install it (Debian: apt-get install zlib1g)")


async def test_reset_deletes_what_the_runner_keeps_and_nothing_else(state_dir: Path) -> None:
    for name in ("env", "secrets.json", "mine.txt"):
        write(state_dir / name, "x")
    reset = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local_stack", "reset", "--state-dir", str(state_dir), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await reset.communicate()
    assert reset.returncode == 0
    assert str(state_dir) in output.decode()
    assert names_in(state_dir) == ["mine.txt"]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
