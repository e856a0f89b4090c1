"""Clean evidence of a run, and violations to plant into it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.evidence import Evidence
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
