"""Which lines of the harness and of the fault points count as what."""

from tests.chaos.evidence import deaths_of
from tests.chaos.lines import Json


def killed(name: str, how: str) -> Json:
    return {"name": name, "signal": how, "at": 5.0}


def test_a_kill_counts_and_a_stop_does_not() -> None:
    lines = [killed("agent-service.1", "SIGKILL"), killed("agent-service.2", "SIGTERM")]
    assert deaths_of(lines, []) == [("agent-service", 5.0)]
