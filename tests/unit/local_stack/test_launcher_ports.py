"""Ports: a taken one is named with its holder and the way out."""

import os
import socket

import pytest
from local_stack import ports
from local_stack.ports import check_free, free_port, is_free
from local_stack.problems import LaunchProblem


def test_a_taken_port_is_one_line_with_the_holder_and_the_fix() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(LaunchProblem) as problem:
            check_free(port, "request-manager", "REQUEST_MANAGER_PORT")
    text = str(problem.value)
    assert f"Port {port} (request-manager) is taken" in text
    assert f"(pid {os.getpid()})" in text
    assert "set REQUEST_MANAGER_PORT to a free port" in text
    check_free(port, "request-manager", "REQUEST_MANAGER_PORT")


def test_a_port_that_is_taken_on_all_addresses_is_not_free() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass


def test_no_port_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "FREE_PORTS", range(20_000, 20_060))
    given = [free_port() for _ in range(30)]
    assert len(set(given)) == len(given)
