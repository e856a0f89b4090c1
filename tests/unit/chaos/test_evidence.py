"""Which lines of the harness and of the fault points count as what."""

from tests.chaos.evidence import deaths_of, losses_of
from tests.chaos.lines import Json


def killed(name: str, how: str) -> Json:
    return {"name": name, "signal": how, "at": 5.0}


def test_a_loss_counts_like_a_death_and_a_stop_does_not() -> None:
    lines = [
        killed("agent-service.1", "SIGKILL"),
        killed("agent-service.2", "SIGTERM"),
        killed("request-manager", "LOST"),
    ]
    assert deaths_of(lines, []) == [("agent-service", 5.0), ("request-manager", 5.0)]


def test_a_loss_of_the_dispatcher_is_none_of_another_service() -> None:
    assert losses_of([killed("integration-dispatcher", "LOST"), killed("agent-service", "LOST")]) == [5.0]
    assert losses_of([killed("integration-dispatcher", "SIGTERM")]) == []
