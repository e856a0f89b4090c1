"""What the audit asks of everything that leaves the product: messages, tickets, their order, and that it is meant for who gets it."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

from tests.chaos.evidence import Evidence
from tests.chaos.lines import read_lines
from tests.chaos.talk import CANARY

RECEIVER_LAGS_S = 5.0
"""A sender may die with its message on the way: on a busy machine the receiver takes it some seconds later."""


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
    for message, times in repeated_messages(evidence):
        if copies := without_death(times, _deaths_in(evidence, message)):
            yield f"webhook message {message}: {copies} of {len(times) - 1} extra copies without a logged death before"
    planned = {row["id"]: row["request_id"] for row in evidence.deliveries if row["integration"] == "webhook"}
    for line in evidence.webhook:
        if planned.get(line["message"].partition(".")[0]) != line["request_id"]:
            yield f"webhook message {line['message']} of {line['request_id']}: nobody has planned it"
    by_request = defaultdict(set)
    for line in evidence.webhook:
        by_request[line["request_id"]].add(line["message"])
    yield from (f"{request_id}: {len(ids)} messages" for request_id, ids in by_request.items() if len(ids) > 1)
    tested = Counter(row["request_id"] for row in evidence.inbox)
    yield from (f"{request_id}: {count} test messages" for request_id, count in tested.items() if count > 1)


def excused_messages(evidence: Evidence) -> int:
    repeated = repeated_messages(evidence)
    return sum(not without_death(times, _deaths_in(evidence, message)) for message, times in repeated)


def repeated_messages(evidence: Evidence) -> list[tuple[str, list[float]]]:
    """Those that came more than once, with the times at which they did."""
    times = defaultdict(list)
    for line in evidence.webhook:
        times[line["message"]].append(line["at"])
    return [(message, sorted(arrived)) for message, arrived in times.items() if len(arrived) > 1]


def _deaths_in(evidence: Evidence, message: str) -> list[float]:
    """Of that very delivery."""
    return evidence.ambiguous.get(message.partition(".")[0], [])


def without_death(times: list[float], deaths: list[float]) -> int:
    """How many copies have no death between themselves and the copy before. Each death stands for one copy."""
    left, count = sorted(deaths), 0
    for before, after in pairwise(times):
        death = next((at for at in left if before - RECEIVER_LAGS_S <= at <= after), None)
        if death is None:
            count += 1
        else:
            left.remove(death)
    return count


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
        run = evidence.runs.get(row["answered_by"] or "")
        if row["outcome"] is None and run is not None and run["state"] == "completed":
            yield f"confirmation {intent} was approved, and nobody knows what came of it"
    if not evidence.tickets and any(line.get("laptop") for line in evidence.accepted):
        yield "people have asked for laptops, and there is no ticket at all"


def order(evidence: Evidence) -> Iterable[str]:
    """Within a session runs end, and answers arrive, in the order of the questions."""
    yield from _places(evidence)
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


def _places(evidence: Evidence) -> Iterable[str]:
    """The product's own numbers fit what the client knows: who asked after an answer to another comes behind it."""
    by_session = defaultdict(list)
    for line in evidence.accepted:
        row = evidence.requests.get(line["request_id"])
        if row is not None and "asked_at" in line:
            by_session[row["session_id"]].append((row["sequence"], line))
    for session_id, asked in by_session.items():
        asked.sort(key=lambda each: each[0])
        for place, (sequence, line) in enumerate(asked):
            for _, later in asked[place + 1 :]:
                if later["at"] < line["asked_at"]:
                    yield f"session {session_id}: {line['request_id']} ({sequence}) came after {later['request_id']}"
    for request_id, run in evidence.runs.items():
        row = evidence.requests.get(request_id)
        if row is not None and run["seq"] != row["sequence"]:
            yield f"{request_id}: number {row['sequence']} in its session, its run is {run['seq']}"


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


def leaks(evidence: Evidence) -> Iterable[str]:
    """Nobody gets what belongs to another person: neither words with another's canary, nor an end without any."""
    yield from (f"one model call for {line['canaries']}" for line in read_lines(evidence.folder / "leaks.jsonl"))
    canary_of = {user_id: row["canary"] for user_id, row in evidence.people.items()}
    owner = {request_id: canary_of[row["user_id"]] for request_id, row in evidence.requests.items()}
    for line in evidence.ledger:
        request_id = line.get("request_id", "")
        said = line.get("told", {}).get("content", "")
        found = {*CANARY.findall(said), owner.get(request_id, line.get("canary"))}
        if "canary" in line and found != {line["canary"]}:
            yield f"{line['kind']} of {line['canary']}: {request_id}"
    for line in evidence.webhook:
        found = set(CANARY.findall(line["text"])) | {owner.get(line["request_id"], line["person"])}
        if found != {line["person"]}:
            yield f"webhook of {line['person']}: {line['request_id']}"
    for request_id, row in evidence.requests.items():
        if set(CANARY.findall(row["response"] or "")) - {canary_of[row["user_id"]]}:
            yield f"answer of {request_id}"
    for row in evidence.inbox:
        person = canary_of[row["user_id"]]
        if set(CANARY.findall(row["content"])) | {owner.get(row["request_id"], person)} != {person}:
            yield f"inbox of {row['user_id']}: {row['request_id']}"
    for session_id, canaries in evidence.heard.items():
        if len(canaries) > 1:
            yield f"session {session_id} holds words of {sorted(canaries)}"


def secrets(evidence: Evidence) -> Iterable[str]:
    """No log holds a key, nor anything that people have said."""
    for log in sorted((evidence.folder / "logs").glob("*.log")):
        if log.name == "postgres.log":  # it quotes what it refuses, and is the database's own
            continue
        text = log.read_text(errors="replace")
        yield from (f"{log.name} holds {name}" for name, secret in evidence.secrets.items() if secret in text)
        if "nonce-" in text:
            yield f"{log.name} holds what somebody said"
