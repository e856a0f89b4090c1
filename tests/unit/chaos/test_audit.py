"""The audit finds what it is there to find: one violation of each kind, planted into clean evidence."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.chaos.audit import audit
from tests.chaos.evidence import Evidence
from tests.unit.chaos.planting import (
    ANA,
    APPROVED,
    BEGIN,
    BEN,
    NONCES,
    SECRET,
    Plant,
    answer,
    asked_at,
    changed,
    clean,
    dead_row,
    in_file,
    logged,
    refused_letters,
    rewritten,
    seen,
    ticket,
    words,
)

__all__ = ["clean"]


def test_clean_evidence_passes(clean: Evidence) -> None:
    findings = audit(clean)
    assert findings.is_clean, findings.words()
    assert findings.accepted == 2


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
