"""`docker compose up --wait` on a real engine: the conversation in both modes, and a service that is killed comes back."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.deploy.docker.compose import Compose, Json
from tests.support.measures import Measured
from tests.support.waiting import eventually_blocking

SERVICES = ("request-manager", "agent-service", "integration-dispatcher")
HEALTHY_WITHIN_S = 300.0
PAGES = ("8088/", "8091/", "8094/", "8094/webhooks/")
WHOLE = [((), "direct"), (("eventing",), "eventing")]


@pytest.fixture(params=WHOLE, ids=[mode for _, mode in WHOLE])
def mode(compose: Compose, request: pytest.FixtureRequest, measured: Measured) -> Iterator[str]:
    """The whole system in a mode, from nothing; its first question is answered."""
    profiles, name = request.param
    began_s = time.monotonic()
    with compose.running(*profiles):
        healthy_s = time.monotonic() - began_s
        compose.ask("hello")
        answered_s = time.monotonic() - began_s
        words = f"healthy after {healthy_s:.1f} s, first answer after {answered_s:.1f} s"
        measured(f"docker compose up --wait, {name}", words)
        yield name


def tickets(compose: Compose) -> list[Json]:
    """What the ServiceNow stand-in has on its disk."""
    program = "import pathlib; print(pathlib.Path('/state/tickets.json').read_text())"
    found: list[Json] = compose.python("servicenow", program)["tickets"]
    return found


def test_a_person_gets_to_a_ticket_and_a_killed_service_comes_back(compose: Compose, mode: str) -> None:
    for service in SERVICES:
        assert compose.details(service)["mode"] == mode
    for page in PAGES:
        status = ("curl", "--silent", "--max-time", "120", "--output", "/dev/null", "--write-out", "%{http_code}")
        assert compose.engine.inside(*status, f"http://127.0.0.1:{page}") == "200", page
    before = len(tickets(compose))
    first = compose.ask("I need a new laptop")
    session = first["session_id"]
    answer = first
    for words in ("yes", "1", "yes"):
        answer = compose.ask(words, session_id=session)
    assert "REQ" in answer["response"]["content"]
    profile = ("--profile", mode) if mode == "eventing" else ()
    before_it = compose.containers("request-manager")
    printed = compose(*profile, "run", "--rm", "-T", "ssa", "ask", "hello")
    assert compose.containers("request-manager") == before_it, "a command replaces no service"
    assert printed.strip()

    [container] = compose.containers("agent-service")
    pid = int(compose.inspect(container, "{{.State.Pid}}"))
    os.kill(pid, signal.SIGKILL)

    def is_back() -> bool:
        state = compose.inspect(container, "{{.State.Pid}} {{.State.Health.Status}}")
        return state.endswith(" healthy") and not state.startswith(f"{pid} ")

    eventually_blocking(is_back, within_s=HEALTHY_WITHIN_S, every_s=0.5)
    compose.ask("hello", session_id=session)
    assert len(tickets(compose)) == before + 1
