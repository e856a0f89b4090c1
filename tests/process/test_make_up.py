"""`make up` as a person uses it: it answers, it ends without a trace, it starts again after a kill."""

import json
import os
import pty
import shlex
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from local_stack.state import take_run_lock
from local_stack.wiring import Ports

from tests.support.fake_openai import ANSWER, fake_openai
from tests.support.stack import END_WITHIN_S, READY_WITHIN_S, Stack, open_folder, running_stack, start_stack
from tests.support.waiting import eventually_blocking

EVENTING = {"EVENTING_ENABLED": "true"}


@pytest.fixture
def state_dir() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder / "state"


def get(stack: Stack, path: str, token: str = "SSA_TOKEN") -> httpx.Response:
    return httpx.get(stack.url + path, headers={"authorization": f"Bearer {stack.env[token]}"}, timeout=60)


def printed_curl_line(stack: Stack) -> str:
    return next(line.strip() for line in stack.output.splitlines() if line.strip().startswith("curl "))


def paste(line: str) -> str:
    """What a shell prints for this line."""
    return subprocess.run(line, shell=True, capture_output=True, text=True, timeout=300, check=True).stdout


def listening(stack: Stack, *, has_broker: bool = False) -> list[int]:
    """Ports of a stack without OGX, as soon as all its programs listen: the stand-ins do so just after the services."""
    pids = {each.pid for each in stack.seen}
    expected = len(fields(Ports)) - (0 if has_broker else 1)  # PostgreSQL's in the place of OGX's

    def all_ports() -> list[int]:
        found = [each for each in psutil.net_connections("tcp") if each.pid in pids]
        ports = {getattr(each.laddr, "port", 0) for each in found if each.status == psutil.CONN_LISTEN}
        return sorted(ports) if len(ports) == expected else []

    return eventually_blocking(all_ports)


def assert_nothing_is_left(stack: Stack, ports: list[int]) -> None:
    assert stack.survivors() == []
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass
    assert not (stack.state_dir / "run.json").exists()
    assert not (stack.state_dir / "postgres" / "data" / "postmaster.pid").exists()
    take_run_lock(stack.state_dir).close()


def test_the_printed_curl_line_answers_when_it_is_pasted(whole_stack: Stack) -> None:
    result = json.loads(paste(printed_curl_line(whole_stack)))
    assert result["status"] == "completed"
    assert result["response"]["agent"]["name"] == "laptop-refresh"


def test_it_prints_where_everything_is_and_how_long_the_start_took(whole_stack: Stack) -> None:
    assert whole_stack.url in whole_stack.output
    assert str(whole_stack.state_dir / "logs") in whole_stack.output
    assert urlsplit(shlex.split(printed_curl_line(whole_stack))[2]).hostname == "127.0.0.1"


def test_the_tokens_are_a_demo_persons_and_an_operators_and_stand_in_a_private_file(whole_stack: Stack) -> None:
    assert stat.S_IMODE((whole_stack.state_dir / "env").stat().st_mode) == 0o600
    assert get(whole_stack, "/api/v1/users/me").json()["email"] == "alice@example.com"
    assert get(whole_stack, "/api/v1/users/me", "SSA_OPERATOR_TOKEN").json()["email"] == "olivia@example.com"


def test_everything_listens_on_the_loopback_address_only(whole_stack: Stack) -> None:
    pids = {each.pid for each in whole_stack.seen}
    connections = [each for each in psutil.net_connections("tcp") if each.pid in pids]
    listeners = [each.laddr for each in connections if each.status == psutil.CONN_LISTEN]
    assert {getattr(each, "ip", "") for each in listeners} == {"127.0.0.1"}


def test_every_service_logs_json_and_no_secret(whole_stack: Stack) -> None:
    secrets = json.loads((whole_stack.state_dir / "secrets.json").read_text())
    hidden = [value for name, value in secrets.items() if name != "identity_public_key"]
    hidden += [whole_stack.env["SSA_TOKEN"], whole_stack.env["SSA_OPERATOR_TOKEN"]]
    for log in (whole_stack.state_dir / "logs").glob("*.log"):
        text = log.read_text()
        assert [value for value in hidden if value in text] == [], log.name
        if log.stem in ("request-manager", "agent-service", "integration-dispatcher"):
            assert [line for line in text.splitlines() if not line.startswith("{")] == []


def test_a_second_start_beside_it_is_refused(whole_stack: Stack) -> None:
    second = start_stack(whole_stack.state_dir, "--free-ports")
    assert second.process.wait(timeout=END_WITHIN_S) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_leaves_no_process_no_port_and_no_lock(state_dir: Path, how: signal.Signals) -> None:
    with running_stack(state_dir, "--services-only", environment=EVENTING) as stack:
        ports = listening(stack, has_broker=True)
        assert stack.end(how) == 0
    assert_nothing_is_left(stack, ports)


def test_a_closed_terminal_ends_everything(state_dir: Path) -> None:
    terminal, inside = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "local_stack",
        "up",
        "--free-ports",
        "--services-only",
        "--state-dir",
        str(state_dir),
    ]
    with subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, start_new_session=True) as process:
        os.close(inside)
        shown = b""
        while b"Try it" not in shown:
            try:
                shown += os.read(terminal, 65_536)
            except OSError:  # nobody writes there any more
                raise AssertionError(shown.decode()) from None
        stack = Stack(process, state_dir, log=state_dir / "none")
        stack.seen = stack.children()
        ports = listening(stack)
        os.close(terminal)
        assert process.wait(timeout=END_WITHIN_S) == 0
    assert_nothing_is_left(stack, ports)


def test_a_stop_in_the_middle_of_the_start_leaves_nothing(state_dir: Path) -> None:
    stack = start_stack(state_dir, "--free-ports", "--services-only")
    eventually_blocking(lambda: "PostgreSQL ready" in stack.output, within_s=READY_WITHIN_S)
    assert stack.end(signal.SIGINT) == 0
    assert_nothing_is_left(stack, [])


def test_after_a_kill_of_the_runner_the_next_start_cleans_up_and_finds_all_data(state_dir: Path) -> None:
    """Also when it chooses the other mode."""
    with running_stack(state_dir, "--services-only", environment=EVENTING) as killed:
        env = killed.env
        killed.process.kill()
        killed.process.wait(timeout=END_WITHIN_S)
    with running_stack(state_dir, "--services-only") as stack:
        assert killed.survivors() == []
        assert {name: stack.env[name] for name in ("SSA_TOKEN", "SSA_OPERATOR_TOKEN")} == {
            name: env[name] for name in ("SSA_TOKEN", "SSA_OPERATOR_TOKEN")
        }
        assert get(stack, "/api/v1/users/me").status_code == 200


def test_a_service_that_dies_is_named_and_ends_the_stack(state_dir: Path) -> None:
    with running_stack(state_dir, "--services-only") as stack:
        ports = listening(stack)
        victim = next(each for each in stack.seen if "integration_dispatcher" in each.cmdline())
        os.kill(victim.pid, signal.SIGABRT)
        assert stack.process.wait(timeout=END_WITHIN_S) == 1
    assert "integration-dispatcher ended with signal 6" in stack.output
    assert_nothing_is_left(stack, ports)


def test_a_database_and_a_model_of_ones_own_take_the_places_of_ours(state_dir: Path, empty_database_url: str) -> None:
    with fake_openai("mine") as (model_url, _):
        own = {"DATABASE_URL": empty_database_url, "LLM_URL": model_url, "LLM_MODEL": "mine"}
        with running_stack(state_dir, environment=own) as stack:
            answer = json.loads(paste(printed_curl_line(stack)))
            assert "llm/mine at" in stack.output
    assert answer["response"]["content"] == ANSWER
    assert not (state_dir / "postgres").exists()
