"""The audit finds what it is there to find: one violation of each kind, planted into clean evidence."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.audit import audit
from tests.chaos.evidence import Evidence, ambiguous_deaths, deaths_of
from tests.chaos.lines import Json, Lines

BEGIN = datetime(2026, 5, 4, 9, tzinfo=UTC)
ANA, BEN = "a" * 16, "b" * 16
SECRET = "a-secret-of-the-run"
NONCES = {"r1": "1" * 32, "r2": "2" * 32}

APPROVED: Json = {"id": "c1", "state": "approved", "outcome": '{"status":"opened"}', "answered_by": "r2"}

type Plant = Callable[[Evidence], Evidence]


def words(nonce: str, canary: str) -> str:
    return f"Here is your word again: nonce-{nonce} of canary-{canary}."


def answer(nonce: str, canary: str) -> str:
    return json.dumps({"content": words(nonce, canary)})


def line(request_id: str, to: str) -> Json:
    known = {"request_id": request_id, "session_id": "s", "canary": ANA, "deliver_to": [to]}
    return {"kind": "accepted", "key": f"key {request_id}", "nonce": NONCES[request_id], "do": "answer", **known}


def request(request_id: str, sequence: int) -> Json:
    said = answer(NONCES[request_id], ANA)
    facts = {"sequence": sequence, "status": "completed", "response": said, "error": None, "error_code": None}
    times = {"created_at": BEGIN, "ended_at": BEGIN + timedelta(minutes=1)}
    return {"session_id": "s", "user_id": "ana", "idempotency_key": f"key {request_id}", **facts, **times}


def run(sequence: int) -> Json:
    return {"session_id": "s", "seq": sequence, "state": "completed", "ended_at": BEGIN + timedelta(seconds=sequence)}


def ticket(confirmation: str, serial: str) -> Json:
    return {"variables": {"correlation_id": confirmation, "laptop_serial_number": serial}}


@pytest.fixture
def clean(tmp_path: Path) -> Evidence:
    """Ana asks twice in one session; one answer goes to her webhook, one to her inbox; she has one ticket."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "request-manager.1.1.log").write_text('{"event": "http"}\n')
    delivery = {"part": 1, "status": "delivered", "reason": ""}
    message = {"person": ANA, "status": "completed", "at": 0.0, "session_id": "s"}
    inbox = {"user_id": "ana", "received_at": "2026-05-04T09:00:02Z", "content": words(NONCES["r2"], ANA)}
    return Evidence(
        folder=tmp_path,
        ledger=[line("r1", "webhook"), line("r2", "test")],
        webhook=[message | {"message": "d1", "request_id": "r1", "text": words(NONCES["r1"], ANA)}],
        tickets=[ticket("c1", "SN1")],
        inbox=[inbox | {"delivery_id": "d2", "request_id": "r2"}],
        ambiguous={},
        deaths=[],
        requests={"r1": request("r1", 1), "r2": request("r2", 2)},
        runs={"r1": run(1), "r2": run(2)},
        deliveries=[
            {"id": "d1", "request_id": "r1", "integration": "webhook", **delivery},
            {"id": "d2", "request_id": "r2", "integration": "test", **delivery},
        ],
        confirmations=[APPROVED],
        work=[],
        dead=[],
        lanes=[],
        events=[],
        closing=[],
        people={"ana": {"open_requests": 0, "canary": ANA}, "ben": {"open_requests": 0, "canary": BEN}},
        heard={"s": {ANA}},
        secrets={"a key": SECRET},
    )


def test_clean_evidence_passes(clean: Evidence) -> None:
    findings = audit(clean)
    assert findings.is_clean, findings.words()
    assert findings.accepted == 2


def changed(name: str, key: str, **values: object) -> Plant:
    """A row of `requests` or `runs` says something else."""
    return lambda clean: replace(clean, **{name: getattr(clean, name) | {key: getattr(clean, name)[key] | values}})


def logged(text: str) -> Plant:
    def plant(clean: Evidence) -> Evidence:
        (clean.folder / "logs" / "agent-service.1.1.log").write_text(text)
        return clean

    return plant


def in_file(name: str, **values: object) -> Plant:
    def plant(clean: Evidence) -> Evidence:
        Lines(clean.folder / name).add(**values)
        return clean

    return plant


def rewritten(clean: Evidence, name: str, **values: object) -> Evidence:
    """The first row of `webhook`, `inbox` or `deliveries` says something else."""
    first, *others = getattr(clean, name)
    changes: dict[str, Any] = {name: [first | values, *others]}
    return replace(clean, **changes)


def asked_at(times: dict[str, tuple[float, float]]) -> Plant:
    """When the client asked, and when it was answered."""
    return lambda clean: replace(
        clean,
        ledger=[line | dict(zip(("asked_at", "at"), times[line["request_id"]], strict=True)) for line in clean.ledger],
    )


def seen(kind: str, **facts: object) -> Plant:
    """A line of the client's ledger."""
    return lambda clean: replace(clean, ledger=[*clean.ledger, {"kind": kind, **facts}])


def refused_letters(clean: Evidence, count: int) -> Evidence:
    letter = {"queue": "agent-service.refused", "last_error": "Malformed attributes: id.", "created_at": BEGIN}
    return replace(clean, dead=[letter | {"ref": str(n), "dead_at": BEGIN} for n in range(count)])


def dead_row(clean: Evidence, deaths: int) -> Evidence:
    row = {"queue": "request-manager.requests", "ref": "r1", "last_error": "its worker died 5 times"}
    times = {"created_at": BEGIN, "dead_at": BEGIN + timedelta(minutes=1)}
    died = [("request-manager", BEGIN.timestamp() + n) for n in range(deaths)]
    return replace(clean, dead=[row | times], deaths=died)


WRONG: list[tuple[str, str, Plant]] = [
    ("a lost request", "lost", lambda e: replace(e, requests={"r2": e.requests["r2"]})),
    ("a request without an end", "lost", changed("requests", "r1", status="processing")),
    ("a row in a queue", "stuck", lambda e: replace(e, work=[{"id": 1, "queue": "q", "key": "k", "last_error": ""}])),
    ("a lane that is held", "stuck", lambda e: replace(e, lanes=[{"queue": "q", "key": "k", "pending": 1, "leased_by": ""}])),
    ("an event in the broker", "stuck", lambda e: replace(e, events=[{"id": "e", "type": "t", "pending": ["trigger"]}])),
    ("a session that is never closed", "stuck", lambda e: replace(e, closing=[{"session_id": "s"}])),
    ("a run without an end", "stuck", changed("runs", "r1", ended_at=None, state="processing")),
    ("a person's count that is off", "stuck", changed("people", "ana", open_requests=1)),
    ("a failure without a cause", "ends", changed("requests", "r1", status="failed", error='{"message": "Sorry."}')),
    ("two ends", "ends", changed("runs", "r1", state="cancelled")),
    ("another's answer", "ends", changed("requests", "r1", response=answer(NONCES["r2"], ANA))),
    ("a request without a run of its number", "order", changed("runs", "r2", seq=3)),
    ("a number before one that was given earlier", "order", asked_at({"r1": (20.0, 21.0), "r2": (10.0, 11.0)})),
    ("an answer that tells another end", "contradictions",
     seen("read", request_id="r1", told={"status": "cancelled", "content": words(NONCES["r1"], ANA)})),
    ("an answer in other words", "contradictions",
     seen("read", request_id="r1", told={"status": "completed", "content": words(NONCES["r2"], ANA)})),
    ("a cancel that tells another end", "contradictions",
     seen("cancel", request_id="r1", status=200, code="", told={"status": "cancelled"})),
    ("a message that tells another end", "contradictions", lambda e: rewritten(e, "webhook", status="cancelled")),
    ("a message in other words", "contradictions", lambda e: rewritten(e, "webhook", text=words(NONCES["r2"], ANA))),
    ("a test message in other words", "contradictions", lambda e: rewritten(e, "inbox", content=words(NONCES["r1"], ANA))),
    ("a request under another key", "repeats", changed("requests", "r1", idempotency_key="another key")),
    ("a key with two requests", "repeats",
     lambda e: changed("requests", "r1", idempotency_key="key r2")(replace(e, ledger=e.ledger[1:]))),
    ("a repeat with another id", "repeats", seen("repeated", request_id="r1", repeat_id="r2", status=202, code="")),
    ("a repeat that is refused", "repeats", seen("repeated", request_id="r1", repeat_id="", status=409, code="session_ended")),
    ("a refusal", "refusals", seen("refused", status=409, code="session_ended", do="answer")),
    ("another refusal by a session that is closed", "refusals", seen("refused", status=409, code="conflict", may_close=True)),
    ("a refused cancel", "refusals", seen("cancel", request_id="r1", status=404, code="not_found")),
    ("a refused close", "refusals", seen("close", session_id="s", status=404, code="not_found", state="")),
    ("a close without effect", "refusals", seen("close", session_id="s", status=200, code="", state="active")),
    ("a cancelled request that nobody cancelled", "ends", changed("requests", "r1", status="cancelled")),
    ("an approved question without an outcome", "tickets",
     lambda e: replace(e, confirmations=[e.confirmations[0] | {"outcome": None}])),
    ("laptops without a ticket", "tickets",
     lambda e: replace(e, tickets=[], confirmations=[], ledger=[each | {"laptop": True} for each in e.ledger])),
    ("a message that did not arrive", "undelivered", lambda e: replace(e, webhook=[])),
    ("a delivery that nobody planned", "undelivered", lambda e: replace(e, deliveries=e.deliveries[:1])),
    ("a delivery without its end", "undelivered", lambda e: rewritten(e, "deliveries", status="failed", reason="gone")),
    ("a message that nobody planned", "messages", lambda e: rewritten(e, "webhook", message="d9")),
    ("a message of another request", "messages", lambda e: rewritten(e, "webhook", request_id="r2")),
    ("two messages of one request", "messages",
     lambda e: replace(e, webhook=[*e.webhook, e.webhook[0] | {"message": "d3"}],
                       deliveries=[*e.deliveries, e.deliveries[0] | {"id": "d3"}])),
    ("a message that came twice", "messages", lambda e: replace(e, webhook=e.webhook * 2)),
    ("a second test message", "messages", lambda e: replace(e, inbox=e.inbox * 2)),
    ("a second ticket", "tickets", lambda e: replace(e, tickets=[*e.tickets, ticket("c1", "SN2")])),
    ("a second ticket of a laptop", "tickets",
     lambda e: replace(e, tickets=[*e.tickets, ticket("c2", "SN1")], confirmations=[*e.confirmations, APPROVED | {"id": "c2"}])),
    ("a ticket without a yes", "tickets", lambda e: replace(e, confirmations=[])),
    ("a ticket that is not there", "tickets", lambda e: replace(e, tickets=[])),
    ("runs out of order", "order", changed("runs", "r1", ended_at=BEGIN + timedelta(hours=1))),
    ("a message without a word", "untold", lambda e: rewritten(e, "webhook", text="")),
    ("an open request that nobody saw accepted", "stuck",
     lambda e: changed("requests", "r1", status="processing")(replace(e, ledger=e.ledger[1:]))),
    ("a failure without a word", "untold", changed("requests", "r1", status="failed", error="{}")),
    ("a foreign canary in an answer", "leaks", changed("requests", "r1", response=answer(NONCES["r1"], BEN))),
    ("a foreign canary in a webhook", "leaks", lambda e: rewritten(e, "webhook", text=words(NONCES["r1"], BEN))),
    ("a foreign canary in an inbox", "leaks", lambda e: rewritten(e, "inbox", content=words(NONCES["r2"], BEN))),
    ("a foreign canary in what a client was told", "leaks",
     seen("read", request_id="r1", canary=ANA, told={"status": "completed", "content": words(NONCES["r1"], BEN)})),
    ("another's request in what a client was told", "leaks", seen("read", request_id="r1", canary=BEN)),
    ("a message without a canary at another's webhook", "leaks", lambda e: rewritten(e, "webhook", text="Sorry.", person=BEN)),
    ("a message without a canary in another's inbox", "leaks", lambda e: rewritten(e, "inbox", content="Sorry.", user_id="ben")),
    ("a foreign canary in a session", "leaks", lambda e: replace(e, heard={"s": {ANA, BEN}})),
    ("a foreign canary in a model call", "leaks", in_file("leaks.jsonl", canaries=[ANA, BEN])),
    ("a secret in a log", "secrets", logged(f"token {SECRET}")),
    ("somebody's words in a log", "secrets", logged(words(NONCES["r1"], ANA))),
    ("a dead letter", "dead letters", lambda e: dead_row(e, 4)),
    ("a malformed event without a letter", "dead letters", seen("malformed", service="agent-service")),
    ("a letter of an event that was not malformed", "dead letters", lambda e: refused_letters(e, 1)),
    ("two letters of one event", "dead letters",
     lambda e: refused_letters(seen("malformed", service="agent-service")(e), 2)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "plant"), [(check, plant) for _, check, plant in WRONG], ids=[name for name, *_ in WRONG]
)
def test_the_audit_finds(check: str, plant: Plant, clean: Evidence) -> None:
    assert audit(plant(clean)).by_check[check]


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
