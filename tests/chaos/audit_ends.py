"""What the audit asks of requests: that each has its one right end, and that nothing of it is left over."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from shared_models.worker import MAX_LOST

from tests.chaos.evidence import Evidence
from tests.chaos.lines import Json
from tests.chaos.talk import Do

GIVEN_UP = {"internal_error": "agent-service", "handover_failed": "request-manager"}
ONE_GIVEN_UP_OF = 100
"""So many accepted requests of a storm for each that may be given up: more, and it took its neighbours with it."""
FAILED_BY_MODEL = {"model_unavailable", "model_timeout", "model_rate_limited", "model_garbage", "turn_timeout"}
FAILED_BY_TOOLS = {"tool_server_unavailable", "tool_timeout", "knowledge_unavailable"}
ENDED = ("completed", "failed", "cancelled", "expired")


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
    facts, excused = {line["request_id"]: line for line in evidence.accepted}, killers(evidence)
    for request_id, row in evidence.requests.items():
        run, line = evidence.runs.get(request_id), facts.get(request_id)
        if run is not None and run["ended_at"] is not None and run["state"] != row["status"]:
            yield f"{request_id}: request {row['status']}, run {run['state']}"
        if line is None or request_id in excused:
            continue
        if not _may_end_so(line, row):
            yield f"{request_id}: {row['status']} ({row['error']}), asked for {line.get('do', 'a laptop')}"
        elif (
            row["status"] == "completed" and "nonce" in line and f"nonce-{line['nonce']}" not in (row["response"] or "")
        ):
            yield f"{request_id}: another answer than its own"


def _may_end_so(line: Json, row: Json) -> bool:
    """What was asked of the model, a cancel, a close and a tool server that is away: nothing else decides about an end."""
    is_to_fail = "do" in line and Do(line["do"]).ends_in_failure
    match row["status"]:
        case "completed":
            return not is_to_fail
        case "cancelled":
            return bool(line.get("may_cancel"))
        case "failed":
            causes = (
                FAILED_BY_MODEL if is_to_fail else FAILED_BY_MODEL | FAILED_BY_TOOLS if line.get("laptop") else set()
            )
            return row["error_code"] in causes or bool(row["error_code"] == "session_closed" and line.get("may_close"))
        case _:
            return False


def contradictions(evidence: Evidence) -> Iterable[str]:
    """Whoever was told of an end, by an answer or by a message, was told of the one that stands, in its own words."""
    for line in evidence.ledger:
        row, told = evidence.requests.get(line.get("request_id", "")), line.get("told")
        if row is not None and told is not None:
            content = told.get("content", _words(row))
            if (told["status"], content) != (row["status"], _words(row)):
                yield f"{line['request_id']}: {line['kind']} told {told['status']}, it is {row['status']}"
    for line in evidence.webhook:
        row = evidence.requests.get(line["request_id"])
        if row is not None and (line["status"], line["text"]) != (row["status"], _words(row)):
            yield f"{line['request_id']}: its webhook says {line['status']}, it is {row['status']}"
    for message in evidence.inbox:
        row = evidence.requests.get(message["request_id"])
        if row is not None and _words(row) not in message["content"]:
            yield f"{message['request_id']}: its test message says something else"


def _words(row: Json) -> str:
    """What the person reads."""
    if row["status"] == "completed":
        return str(json.loads(row["response"] or "{}").get("content", ""))
    return str(json.loads(row["error"] or "{}").get("message", ""))


def given_up(evidence: Evidence) -> Iterable[str]:
    """Who only stands beside a killer is not taken for one."""
    count = len(killers(evidence) | killing_rows(evidence))
    if evidence.may_be_given_up is None and count > len(evidence.accepted) / ONE_GIVEN_UP_OF:
        yield f"{count} of {len(evidence.accepted)} requests were given up"


def killers(evidence: Evidence) -> set[str]:
    """Requests that ended as taken for such that kill their workers, and may have been."""
    return {
        request_id
        for request_id, row in evidence.requests.items()
        if (service := GIVEN_UP.get(row["error_code"] or "")) is not None
        and _may_bekillers(evidence, request_id, service, (row["created_at"], row["ended_at"]))
    }


def killing_rows(evidence: Evidence) -> set[str]:
    return {
        row["ref"]
        for row in evidence.dead
        if "died" in row["last_error"]
        and _may_bekillers(evidence, row["ref"], row["queue"].partition(".")[0], (row["created_at"], row["dead_at"]))
    }


def _may_bekillers(evidence: Evidence, ref: str, service: str, life: tuple[datetime, datetime]) -> bool:
    """It is one of those named; in a storm, where none is: so many have died, as logged, in its life."""
    if evidence.may_be_given_up is not None:
        return ref in evidence.may_be_given_up
    return _deaths(evidence, service, *life) >= MAX_LOST


def _deaths(evidence: Evidence, service: str, begin: datetime, end: datetime) -> int:
    return sum(name == service and begin.timestamp() <= at <= end.timestamp() for name, at in evidence.deaths)


def repeats(evidence: Evidence) -> Iterable[str]:
    """One idempotency key, one request, whatever has become of it or of its session by then."""
    for line in evidence.ledger:
        if line["kind"] == "repeated" and line["request_id"] != line["repeat_id"]:
            yield f"{line['request_id']} came back as {line['repeat_id'] or line['status']} {line['code']}"
    for line in evidence.accepted:
        row = evidence.requests.get(line["request_id"])
        if row is not None and "key" in line and row["idempotency_key"] != line["key"]:
            yield f"{line['request_id']} has the key {row['idempotency_key']}, it came with {line['key']}"
    by_key = Counter(row["idempotency_key"] for row in evidence.requests.values())
    yield from (f"key {key}: {count} requests" for key, count in by_key.items() if key and count > 1)


def refusals(evidence: Evidence) -> Iterable[str]:
    """Nothing is refused but what comes for a session that is being closed; a cancel and a close never are."""
    for line in evidence.ledger:
        answer = f"{line.get('status')} {line.get('code')}"
        match line["kind"]:
            case "refused" if not (answer == "409 session_ended" and line.get("may_close")):
                yield f"{answer} for {line.get('do') or 'a laptop step'}"
            case "cancel" if line["status"] not in (200, 202):
                yield f"{answer} for a cancel of {line['request_id']}"
            case "close" if line["status"] != 200 or line["state"] not in ("closing", "closed"):
                yield f"{answer} {line['state']} for a close of {line['session_id']}"


def untold(evidence: Evidence) -> Iterable[str]:
    """Whose request failed reads why."""
    for request_id, row in evidence.requests.items():
        if row["status"] in ("failed", "expired") and not json.loads(row["error"] or "{}").get("message"):
            yield f"{request_id} failed without a word"
    yield from (f"message {line['message']} has no words" for line in evidence.webhook if not line["text"])


def dead_letters(evidence: Evidence) -> Iterable[str]:
    """One of each event that a service was sent against the rules, and of requests that were taken for killers of their workers."""
    excused = killing_rows(evidence)
    sent = Counter(f"{line['service']}.refused" for line in evidence.ledger if line["kind"] == "malformed")
    kept = Counter(row["queue"] for row in evidence.dead)
    for queue, count in sent.items():
        if kept[queue] != count:
            yield f"{queue}: {kept[queue]} letters of {count} malformed events"
    for row in evidence.dead:
        if row["ref"] not in excused and row["queue"] not in sent:
            yield f"{row['queue']} {row['ref']}: {row['last_error']}"
