"""The audit after a fault run. It trusts nobody: what the client saw, what the sinks got and what the database says must agree.

Each check returns the violations in words; the counts go into the table."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from shared_models.worker import MAX_LOST

from tests.chaos.evidence import Evidence
from tests.chaos.lines import Json, read_lines
from tests.chaos.talk import CANARY, Do

GIVEN_UP = {"internal_error": "agent-service", "handover_failed": "request-manager"}
ONE_GIVEN_UP_OF = 100
"""So many accepted requests of a storm for each that may be given up: more, and it took its neighbours with it."""
ENDED = ("completed", "failed", "cancelled", "expired")
MOST_SHOWN = 20


@dataclass
class Findings:
    """`by_check`: violations in words. `lost`, `duplicates`, `order`, `leaks` are the columns of the table."""

    accepted: int = 0
    by_check: dict[str, list[str]] = field(default_factory=dict)
    excused: int = 0
    given_up: int = 0

    @property
    def is_clean(self) -> bool:
        return not any(self.by_check.values())

    def count(self, *checks: str) -> int:
        return sum(len(self.by_check.get(check, [])) for check in checks)

    @property
    def row(self) -> dict[str, int]:
        return {
            "accepted": self.accepted,
            "lost": self.count("lost", "stuck", "undelivered", "untold"),
            "duplicates": self.count("repeats", "messages", "tickets"),
            "order": self.count("order"),
            "leaks": self.count("leaks", "secrets"),
            "other": self.count("ends", "given up", "refusals", "dead letters", "scenarios"),
        }

    def words(self) -> str:
        lines = []
        for check, found in self.by_check.items():
            if found:
                lines += [f"{check}: {len(found)}", *(f"  {each}" for each in found[:MOST_SHOWN])]
        return "\n".join(lines)


def audit(evidence: Evidence) -> Findings:
    findings = Findings(accepted=len({line["request_id"] for line in evidence.accepted}))
    for name, check in CHECKS.items():
        findings.by_check[name] = list(check(evidence))
    findings.given_up = len(_given_up(evidence))
    findings.excused = len(_repeated_messages(evidence)) - findings.count("messages")
    return findings


def lost(evidence: Evidence) -> Iterable[str]:
    """Whoever saw a 2xx finds the request, with an end."""
    for line in evidence.accepted:
        row = evidence.requests.get(line["request_id"])
        if row is None:
            yield f"{line['request_id']} was accepted and is nowhere"
        elif row["status"] not in ENDED:
            yield f"{line['request_id']} is {row['status']}"


def stuck(evidence: Evidence) -> Iterable[str]:
    """No row waits for anybody, whether a client knows of it or not."""
    known = {line["request_id"] for line in evidence.accepted}
    for request_id, row in evidence.requests.items():
        if row["status"] not in ENDED and request_id not in known:
            yield f"request {request_id} is {row['status']}, nobody saw it accepted"
    for row in evidence.work:
        yield f"work item {', '.join(f'{name} {value}' for name, value in row.items())}"
    for row in evidence.lanes:
        yield f"lane {row['queue']} {row['key']}: pending {row['pending']}, leased by {row['leased_by']}"
    yield from (f"event {row['id']} ({row['type']}) waits for {row['pending']}" for row in evidence.events)
    yield from (f"session {row['session_id']} is still being closed" for row in evidence.closing)
    for request_id, run in evidence.runs.items():
        if run["ended_at"] is None:
            yield f"run {request_id} is {run['state']}"
    for user_id, row in evidence.people.items():
        if row["open_requests"] != 0:
            yield f"person {user_id} has {row['open_requests']} open requests"


def ends(evidence: Evidence) -> Iterable[str]:
    """One end, the expected one, the same in both tables, with the right words."""
    facts, given_up = {line["request_id"]: line for line in evidence.accepted}, _given_up(evidence)
    for request_id, row in evidence.requests.items():
        run, line = evidence.runs.get(request_id), facts.get(request_id)
        if run is not None and run["ended_at"] is not None and run["state"] != row["status"]:
            yield f"{request_id}: request {row['status']}, run {run['state']}"
        if line is None or line.get("laptop"):
            continue
        if row["status"] not in _expected(line) and request_id not in given_up:
            yield f"{request_id}: {row['status']} ({row['error']}), asked for {line['do']}"
        elif row["status"] == "completed" and f"nonce-{line['nonce']}" not in row["response"]:
            yield f"{request_id}: another answer than its own"


def _expected(line: Json) -> set[str]:
    expected = {"failed" if Do(line["do"]).ends_in_failure else "completed"}
    if line.get("may_cancel"):
        expected |= {"cancelled"}
    if line.get("may_close"):
        expected |= {"failed"}
    return expected


def given_up(evidence: Evidence) -> Iterable[str]:
    """Who only stands beside a killer is not taken for one."""
    count = len(_given_up(evidence) | _given_up_rows(evidence))
    if evidence.may_be_given_up is None and count > len(evidence.accepted) / ONE_GIVEN_UP_OF:
        yield f"{count} of {len(evidence.accepted)} requests were given up"


def _given_up(evidence: Evidence) -> set[str]:
    """Requests that ended as taken for such that kill their workers, and may have been."""
    return {
        request_id
        for request_id, row in evidence.requests.items()
        if (service := GIVEN_UP.get(row["error_code"] or "")) is not None
        and _may_be_given_up(evidence, request_id, service, (row["created_at"], row["ended_at"]))
    }


def _given_up_rows(evidence: Evidence) -> set[str]:
    return {
        row["ref"]
        for row in evidence.dead
        if "died" in row["last_error"]
        and _may_be_given_up(evidence, row["ref"], row["queue"].partition(".")[0], (row["created_at"], row["dead_at"]))
    }


def _may_be_given_up(evidence: Evidence, ref: str, service: str, life: tuple[datetime, datetime]) -> bool:
    """It is one of those named; in a storm, where none is: so many have died, as logged, in its life."""
    if evidence.may_be_given_up is not None:
        return ref in evidence.may_be_given_up
    return _deaths(evidence, service, *life) >= MAX_LOST


def _deaths(evidence: Evidence, service: str, begin: datetime, end: datetime) -> int:
    return sum(name == service and begin.timestamp() <= at <= end.timestamp() for name, at in evidence.deaths)


def repeats(evidence: Evidence) -> Iterable[str]:
    """One idempotency key, one request."""
    for line in read_lines(evidence.folder / "ledger.jsonl"):
        if line["kind"] == "repeated" and line["request_id"] != line["repeat_id"]:
            yield f"{line['request_id']} came back as {line['repeat_id']}"
    by_key = Counter(row["idempotency_key"] for row in evidence.requests.values())
    yield from (f"key {key}: {count} requests" for key, count in by_key.items() if key and count > 1)


def refusals(evidence: Evidence) -> Iterable[str]:
    """Nothing is refused but what comes for a session that is being closed."""
    for line in read_lines(evidence.folder / "ledger.jsonl"):
        if line["kind"] == "refused" and not (line["status"] == 409 and line.get("may_close")):
            yield f"{line['status']} {line['code']} for {line.get('do') or 'a laptop step'}"


def undelivered(evidence: Evidence) -> Iterable[str]:
    """What was asked to go somewhere is there: in the receiver's file, in the person's inbox."""
    got = {line["message"] for line in evidence.webhook}
    inbox = {row["delivery_id"] for row in evidence.inbox}
    planned = defaultdict(list)
    for row in evidence.deliveries:
        planned[row["request_id"]].append(row)
        if row["status"] != "delivered":
            yield f"delivery {row['id']} of {row['request_id']} is {row['status']}: {row['reason']}"
        elif row["id"] not in (got if row["integration"] == "webhook" else inbox):
            yield f"delivery {row['id']} ({row['integration']}) is called delivered and did not arrive"
    for line in evidence.accepted:
        wanted, found = line["deliver_to"], [row["integration"] for row in planned[line["request_id"]]]
        if sorted(wanted) != sorted(found):
            yield f"{line['request_id']}: to go to {wanted}, planned for {found}"


def messages(evidence: Evidence) -> Iterable[str]:
    """A receiver gets a message twice only if its sender died, as logged, between sending and writing that down."""
    for message, copies in _repeated_messages(evidence):
        delivery = message.partition(".")[0]
        if copies > evidence.ambiguous[delivery]:
            yield f"webhook message {message}: {copies} extra copies, {evidence.ambiguous[delivery]} logged deaths"
    by_request = defaultdict(set)
    for line in evidence.webhook:
        by_request[line["request_id"]].add(line["message"])
    yield from (f"{request_id}: {len(ids)} messages" for request_id, ids in by_request.items() if len(ids) > 1)
    tested = Counter(row["request_id"] for row in evidence.inbox)
    yield from (f"{request_id}: {count} test messages" for request_id, count in tested.items() if count > 1)


def _repeated_messages(evidence: Evidence) -> list[tuple[str, int]]:
    counts = Counter(line["message"] for line in evidence.webhook)
    return [(message, count - 1) for message, count in counts.items() if count > 1]


def tickets(evidence: Evidence) -> Iterable[str]:
    """One ticket for each confirmation that says so, and none besides."""
    by_intent = Counter(ticket["variables"].get("correlation_id") for ticket in evidence.tickets)
    yield from (f"confirmation {intent}: {count} tickets" for intent, count in by_intent.items() if count > 1)
    by_laptop = Counter(ticket["variables"].get("laptop_serial_number") for ticket in evidence.tickets)
    yield from (f"laptop {serial}: {count} tickets" for serial, count in by_laptop.items() if count > 1)
    approved = {row["id"]: row for row in evidence.confirmations if row["state"] == "approved"}
    for intent in by_intent:
        if intent not in approved:
            yield f"a ticket for {intent}, which nobody approved"
    for intent, row in approved.items():
        if (row["outcome"] or "").find('"opened"') >= 0 and intent not in by_intent:
            yield f"confirmation {intent} says that a ticket was opened: there is none"


def order(evidence: Evidence) -> Iterable[str]:
    """Within a session runs end, and answers arrive, in the order of the questions."""
    by_session = defaultdict(list)
    for request_id, run in evidence.runs.items():
        if run["state"] == "completed":
            by_session[run["session_id"]].append((run["seq"], run["ended_at"], request_id))
    for session_id, runs in by_session.items():
        times = [ended_at for _, ended_at, _ in sorted(runs)]
        if times != sorted(times):
            yield f"session {session_id}: its runs did not end in order"
    yield from _arrivals("webhook", ((line["session_id"], line["request_id"]) for line in evidence.webhook), evidence)
    inbox = sorted(evidence.inbox, key=lambda row: row["received_at"])
    session_of = {request_id: row["session_id"] for request_id, row in evidence.requests.items()}
    yield from _arrivals("test", ((session_of[row["request_id"]], row["request_id"]) for row in inbox), evidence)


def _arrivals(name: str, arrived: Iterable[tuple[str, str]], evidence: Evidence) -> Iterable[str]:
    """Only answers: a cancel, or the end of a closed session, overtakes what is still being worked on."""
    seen: set[str] = set()
    last: dict[str, tuple[int, str]] = {}
    for session_id, request_id in arrived:
        row = evidence.requests.get(request_id)
        if request_id in seen or row is None or row["status"] != "completed":
            continue
        seen.add(request_id)
        before = last.get(session_id)
        if before is not None and before[0] > row["sequence"]:
            yield f"{name}, session {session_id}: {request_id} ({row['sequence']}) after {before[1]} ({before[0]})"
        last[session_id] = (row["sequence"], request_id)


def untold(evidence: Evidence) -> Iterable[str]:
    """Whose request failed reads why."""
    for request_id, row in evidence.requests.items():
        if row["status"] in ("failed", "expired") and not json.loads(row["error"] or "{}").get("message"):
            yield f"{request_id} failed without a word"
    yield from (f"message {line['message']} has no words" for line in evidence.webhook if not line["text"])


def leaks(evidence: Evidence) -> Iterable[str]:
    """Nobody's canary stands in what another person gets."""
    yield from (f"one model call for {line['canaries']}" for line in read_lines(evidence.folder / "leaks.jsonl"))
    canary_of = {user_id: row["canary"] for user_id, row in evidence.people.items()}
    for line in evidence.webhook:
        if set(CANARY.findall(line["text"])) - {line["person"]}:
            yield f"webhook of {line['person']}: {line['request_id']}"
    for request_id, row in evidence.requests.items():
        if set(CANARY.findall(row["response"] or "")) - {canary_of[row["user_id"]]}:
            yield f"answer of {request_id}"
    for row in evidence.inbox:
        if set(CANARY.findall(row["content"])) - {canary_of[row["user_id"]]}:
            yield f"inbox of {row['user_id']}: {row['request_id']}"
    for session_id, found in evidence.heard.items():
        if len(found) > 1:
            yield f"session {session_id} holds words of {sorted(found)}"


def secrets(evidence: Evidence) -> Iterable[str]:
    """No log holds a key, nor anything that people have said."""
    for log in sorted((evidence.folder / "logs").glob("*.log")):
        if log.name == "postgres.log":  # it quotes what it refuses, and is the database's own
            continue
        text = log.read_text(errors="replace")
        yield from (f"{log.name} holds {name}" for name, secret in evidence.secrets.items() if secret in text)
        if "nonce-" in text:
            yield f"{log.name} holds what somebody said"


def dead_letters(evidence: Evidence) -> Iterable[str]:
    """None but of requests that were taken for killers of their workers."""
    given_up = _given_up_rows(evidence)
    for row in evidence.dead:
        if row["ref"] not in given_up:
            yield f"{row['queue']} {row['ref']}: {row['last_error']}"


CHECKS: dict[str, Callable[[Evidence], Iterable[str]]] = {
    "lost": lost,
    "stuck": stuck,
    "ends": ends,
    "given up": given_up,
    "repeats": repeats,
    "refusals": refusals,
    "undelivered": undelivered,
    "messages": messages,
    "tickets": tickets,
    "order": order,
    "untold": untold,
    "leaks": leaks,
    "secrets": secrets,
    "dead letters": dead_letters,
}
