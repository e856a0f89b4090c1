"""What the audit excuses, and how little of it: second copies, given-up requests, ends and refusals."""

from dataclasses import replace

import pytest

from tests.chaos.audit import audit
from tests.chaos.evidence import Evidence, ambiguous_deaths, deaths_of
from tests.chaos.lines import Json
from tests.unit.chaos.planting import (
    ANA,
    BEGIN,
    NONCES,
    Plant,
    asked_at,
    changed,
    clean,
    dead_row,
    refused_letters,
    seen,
    words,
)

__all__ = ["clean"]


def test_answers_that_arrive_in_another_order_are_found(clean: Evidence) -> None:
    later = clean.webhook[0] | {"message": "d3", "request_id": "r2"}
    assert audit(replace(clean, webhook=[later, *clean.webhook])).by_check["order"]


def copies(clean: Evidence, times: list[float], ambiguous: dict[str, list[float]]) -> Evidence:
    """Ana's webhook gets its message at each of these times."""
    return replace(clean, webhook=[clean.webhook[0] | {"at": at} for at in times], ambiguous=ambiguous)


def test_a_logged_death_of_that_very_delivery_excuses_one_copy(clean: Evidence) -> None:
    assert audit(copies(clean, [100, 200], {"another": [150]})).by_check["messages"]
    excused = audit(copies(clean, [100, 200], {"d1": [150]}))
    assert excused.is_clean
    assert excused.excused == 1
    assert audit(copies(clean, [100, 200, 300], {"d1": [150]})).by_check["messages"]
    assert audit(copies(clean, [100, 200, 300], {"d1": [150, 160]})).by_check["messages"]
    assert audit(copies(clean, [100, 200, 300], {"d1": [150, 250]})).is_clean


@pytest.mark.parametrize(("at", "is_excused"), [(90, False), (96, True), (200, True), (201, False)])
def test_a_death_excuses_the_copy_that_came_after_it(at: float, is_excused: bool, clean: Evidence) -> None:
    assert audit(copies(clean, [100, 200], {"d1": [at]})).is_clean is is_excused


def test_excused_are_messages_whatever_else_is_wrong_with_others(clean: Evidence) -> None:
    twice = replace(copies(clean, [100, 200], {"d1": [150]}), inbox=clean.inbox * 2)
    assert audit(twice).excused == 1


def test_only_an_exit_leaves_an_outcome_unknown() -> None:
    point = "dispatcher.sent_before_commit"
    struck = [
        {"point": point, "kind": "exit", "ref": "d1", "at": 1.0},
        {"point": point, "kind": "exit", "ref": "d2", "at": 1.0, "beside": "dispatcher.committed"},
        {"point": point, "kind": "raise", "ref": "d1", "at": 2.0},
        {"point": point, "kind": "sleep", "ref": "d1", "at": 3.0},
        {"point": "dispatcher.committed", "kind": "exit", "ref": "d1", "at": 4.0},
    ]
    assert ambiguous_deaths(struck) == {"d1": [1.0], "d2": [1.0]}


def test_test_messages_that_arrive_in_another_order_are_found(clean: Evidence) -> None:
    later = clean.inbox[0] | {"delivery_id": "d3", "request_id": "r1", "received_at": "2026-05-04T09:00:03Z"}
    assert audit(replace(clean, inbox=[*clean.inbox, later])).by_check["order"]


@pytest.mark.parametrize("times", [{"r1": (10.0, 12.0), "r2": (11.0, 13.0)}, {"r1": (11.0, 13.0), "r2": (10.0, 12.0)}])
def test_questions_that_were_asked_at_once_have_no_order(
    times: dict[str, tuple[float, float]], clean: Evidence
) -> None:
    assert audit(asked_at(times)(clean)).is_clean


def test_nothing_excuses_a_second_ticket(clean: Evidence) -> None:
    twice = replace(clean, tickets=clean.tickets * 2, ambiguous={"d1": [1.0], "c1": [1.0]})
    assert audit(twice).by_check["tickets"]


def given_up(clean: Evidence, code: str = "internal_error", deaths: int = 5) -> Evidence:
    """In a storm of a hundred requests, Ana's second one ends as one that kills its workers."""
    failed = {"status": "failed", "response": None, "error": '{"message": "Sorry."}', "error_code": code}
    service = "agent-service" if code == "internal_error" else "request-manager"
    died = [(service, BEGIN.timestamp() + n) for n in range(deaths)]
    storm = replace(clean, ledger=clean.ledger * 50, deaths=died)
    return changed("runs", "r2", state="failed")(changed("requests", "r2", **failed)(storm))


def test_each_malformed_event_may_leave_its_letter(clean: Evidence) -> None:
    sent = seen("malformed", service="agent-service")
    assert audit(refused_letters(sent(sent(clean)), 2)).is_clean


def ends_and_given_up(evidence: Evidence) -> int:
    return audit(evidence).count("ends", "given up")


def test_five_logged_deaths_excuse_a_row_that_was_taken_for_a_killer(clean: Evidence) -> None:
    storm = replace(dead_row(clean, 5), ledger=clean.ledger * 50)
    assert audit(storm).is_clean
    assert audit(storm).row["other"] == 0


@pytest.mark.parametrize("code", ["internal_error", "handover_failed"])
def test_five_logged_deaths_excuse_a_request_that_was_taken_for_a_killer(code: str, clean: Evidence) -> None:
    assert ends_and_given_up(given_up(clean, code)) == 0
    assert audit(given_up(clean, code)).given_up == 1
    assert ends_and_given_up(given_up(clean, code, deaths=4)) == 1
    assert ends_and_given_up(given_up(clean, "model_timeout")) == 1


def test_in_a_storm_only_few_are_excused(clean: Evidence) -> None:
    assert audit(replace(given_up(clean), ledger=clean.ledger)).by_check["given up"]


def test_where_the_killer_is_known_nobody_else_is_excused(clean: Evidence) -> None:
    assert ends_and_given_up(replace(given_up(clean), may_be_given_up={"r1"})) == 1
    assert ends_and_given_up(replace(given_up(clean, deaths=0), may_be_given_up={"r2"})) == 0
    assert audit(replace(dead_row(clean, 5), may_be_given_up=set())).by_check["dead letters"]
    assert audit(replace(dead_row(clean, 0), may_be_given_up={"r1"})).is_clean


def test_deaths_are_those_by_sigkill() -> None:
    kills = [
        {"name": "agent-service.1", "signal": "SIGTERM", "at": 1.0},
        {"name": "agent-service.2", "signal": "SIGKILL", "at": 2.0},
    ]
    struck = [
        {"point": "dispatcher.committed", "kind": "exit", "at": 3.0},
        {"point": "dispatcher.sent_before_commit", "kind": "exit", "at": 3.0, "beside": "dispatcher.committed"},
        {"point": "agent_service.begun", "kind": "raise", "at": 4.0},
        {"point": "web.replying", "kind": "exit", "at": 5.0},
    ]
    everybody = [(service, 5.0) for service in ("request-manager", "agent-service", "integration-dispatcher")]
    assert deaths_of(kills, struck) == [("agent-service", 2.0), ("integration-dispatcher", 3.0), *everybody]


@pytest.mark.parametrize(
    ("line", "status", "code", "is_legal"),
    [
        ({}, "completed", None, True),
        ({}, "failed", "session_closed", False),
        ({}, "failed", "model_timeout", False),
        ({}, "cancelled", "cancelled", False),
        ({}, "expired", "expired", False),
        ({"may_cancel": True}, "cancelled", "cancelled", True),
        ({"may_cancel": True}, "completed", None, True),
        ({"may_cancel": True}, "failed", "internal_error", False),
        ({"may_close": True}, "failed", "session_closed", True),
        ({"may_close": True}, "failed", "internal_error", False),
        ({"may_close": True}, "cancelled", "cancelled", False),
        ({"do": "fail_always"}, "failed", "model_unavailable", True),
        ({"do": "fail_always"}, "failed", "internal_error", False),
        ({"do": "fail_always"}, "completed", None, False),
        ({"do": "fail_always", "may_close": True}, "failed", "session_closed", True),
        ({"laptop": True}, "failed", "tool_server_unavailable", True),
        ({"laptop": True}, "failed", "internal_error", False),
        ({"laptop": True}, "failed", "session_closed", False),
        ({"laptop": True}, "cancelled", "cancelled", False),
    ],
)
def test_a_request_ends_only_as_it_may(
    line: Json, status: str, code: str | None, is_legal: bool, clean: Evidence
) -> None:
    first, second = clean.ledger
    asked = replace(clean, ledger=[first | line, second])
    ended = changed("requests", "r1", status=status, error_code=code)(changed("runs", "r1", state=status)(asked))
    assert (not audit(ended).by_check["ends"]) is is_legal


def test_what_a_client_may_be_told_is_no_refusal(clean: Evidence) -> None:
    answers: list[Plant] = [
        seen("refused", status=409, code="session_ended", do="answer", may_close=True),
        seen("cancel", request_id="r1", status=202, code=""),
        seen("cancel", request_id="r1", canary=ANA, status=200, code="", told={"status": "completed"}),
        seen("read", request_id="r1", told={"status": "completed", "content": words(NONCES["r1"], ANA)}),
        asked_at({"r1": (10.0, 11.0), "r2": (12.0, 13.0)}),
        seen("close", session_id="s", status=200, code="", state="closing"),
        seen("close", session_id="s", status=200, code="", state="closed"),
        seen("repeated", request_id="r1", repeat_id="r1", status=200, code=""),
    ]
    for each in answers:
        assert audit(each(clean)).is_clean


def test_an_approval_whose_run_failed_may_be_without_an_outcome(clean: Evidence) -> None:
    confirmations = [{"id": "c1", "state": "approved", "outcome": None, "answered_by": "a run that failed"}]
    assert audit(replace(clean, confirmations=confirmations)).is_clean
