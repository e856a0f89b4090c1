"""What the audit looks at: the client's ledger, the files of the sinks, the logged deaths, and every table."""

import json
import signal
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from shared_models.faults import AMBIGUOUS, STRUCK, Kind

from tests.chaos.lines import Json, Lines, read_lines
from tests.chaos.people import ChaosPerson
from tests.chaos.stack import BROKER, SERVICES, Stack
from tests.chaos.talk import CANARY
from tests.load.cluster import sql

OF_POINT = {"dispatcher": "integration-dispatcher"}
EVENTS = "select attributes ->> 'id' as id, attributes ->> 'type' as type, pending from local_broker.events"
SEEDED = "seeded-"  # tickets that the stand-in has from the beginning

type Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Evidence:
    """Ids are text. `ambiguous`: per delivery, the times of the logged deaths that left its outcome unknown; `deaths`:
    service and time of each; `heard`: per session, whose canaries stand in its messages; `inbox`: what people read over the API;
    `events`: those that the broker has not brought; `closing`: conversations that were never closed.

    `may_be_given_up`: the requests that kill whoever touches them; None: in a storm anybody may be so unlucky, but few are."""

    folder: Path
    ledger: list[Json]
    webhook: list[Json]
    tickets: list[Json]
    inbox: list[Json]
    ambiguous: dict[str, list[float]]
    deaths: list[tuple[str, float]]
    requests: dict[str, dict[str, Any]]
    runs: dict[str, dict[str, Any]]
    deliveries: Rows
    confirmations: Rows
    work: Rows
    dead: Rows
    lanes: Rows
    events: Rows
    closing: Rows
    people: dict[str, dict[str, Any]]
    heard: dict[str, set[str]]
    secrets: dict[str, str]
    may_be_given_up: set[str] | None = None

    @property
    def accepted(self) -> list[Json]:
        return [line for line in self.ledger if line["kind"] == "accepted"]


def gather(stack: Stack, people: list[ChaosPerson], *, may_be_given_up: set[str] | None = None) -> Evidence:
    """With the product at rest. The inboxes are read through the public API, into `inbox.jsonl`."""
    url, folder = stack.database_url, stack.folder
    canaries = {each.user_id: {"canary": each.canary} for each in people}
    work = _rows(
        url,
        "select id, queue, key, ref, last_error, created_at, dead_at, run_at, leased_by, claim, attempts, lost"
        " from work_items",
    )
    heard: dict[str, set[str]] = defaultdict(set)
    for row in _rows(url, "select session_id, content from session_messages where content like '%canary-%'"):
        heard[row["session_id"]] |= set(CANARY.findall(row["content"]))
    return Evidence(
        folder=folder,
        ledger=list(read_lines(folder / "ledger.jsonl")),
        tickets=[
            ticket
            for ticket in json.loads((folder / "servicenow" / "tickets.json").read_text())["tickets"]
            if not ticket["variables"].get("correlation_id", "").startswith(SEEDED)
        ],
        ambiguous=ambiguous_deaths(read_lines(stack.faults / STRUCK)),
        deaths=deaths_of(read_lines(folder / "kills.jsonl"), read_lines(stack.faults / STRUCK)),
        requests=_by(
            "request_id",
            _rows(
                url,
                "select request_id, session_id, user_id, sequence, status, response::text, error::text, error_code,"
                " idempotency_key, created_at, ended_at from request_logs",
            ),
        ),
        runs=_by("request_id", _rows(url, "select request_id, session_id, seq, state, ended_at from agent_runs")),
        deliveries=_rows(url, "select id, request_id, integration, part, status, reason from delivery_logs"),
        # After the table: what that calls delivered has arrived by now.
        webhook=list(read_lines(folder / "webhook.jsonl")),
        inbox=read_inboxes(stack, people),
        confirmations=_rows(url, "select id, state, outcome, answered_by from confirmations"),
        work=[row for row in work if row["dead_at"] is None],
        dead=[row for row in work if row["dead_at"] is not None],
        lanes=_rows(
            url, "select queue, key, pending, leased_by from lanes where pending <> 0 or leased_by is not null"
        ),
        events=_rows(url, EVENTS) if BROKER in stack.slots else [],
        closing=_rows(url, "select session_id from conversations where status = 'closing'"),
        people={
            row["user_id"]: row | canaries[row["user_id"]]
            for row in _rows(url, "select user_id, open_requests from users")
            if row["user_id"] in canaries
        },
        heard=heard,
        secrets=_secrets(stack, people),
        may_be_given_up=may_be_given_up,
    )


def ambiguous_deaths(struck: Iterable[Json]) -> dict[str, list[float]]:
    """An error at that point is none: nobody died, and the message was sent again by our own doing."""
    deaths: dict[str, list[float]] = defaultdict(list)
    for line in struck:
        if line["point"] == AMBIGUOUS and line["kind"] == Kind.EXIT:
            deaths[line["ref"]].append(line["at"])
    return deaths


def deaths_of(kills: Iterable[Json], struck: Iterable[Json]) -> list[tuple[str, float]]:
    """By SIGKILL from outside, and at fault points; one at a reply counts for every service."""
    outside = [(line["name"], line["at"]) for line in kills if line["signal"] == signal.SIGKILL.name]
    exits = [line for line in struck if line["kind"] == Kind.EXIT and "beside" not in line]
    inside = [(line["point"].partition(".")[0].replace("_", "-"), line["at"]) for line in exits]
    services = [
        (service, at) for name, at in inside for service in (SERVICES if name == "web" else (OF_POINT.get(name, name),))
    ]
    return [(name.partition(".")[0], at) for name, at in outside] + services


def read_inboxes(stack: Stack, people: list[ChaosPerson]) -> list[Json]:
    """Each person's messages of the test integration, page by page."""
    lines = Lines(stack.folder / "inbox.jsonl")
    with httpx.Client(base_url=stack.url, timeout=20) as http:
        for person in people:
            cursor = ""
            while True:
                params = {"limit": "100", "cursor": cursor}
                headers = {"authorization": f"Bearer {person.key}"}
                reply = http.get("/api/v1/users/me/test-messages", params=params, headers=headers)
                page = reply.raise_for_status().json()
                for item in page["items"]:
                    lines.add(**(item | {"user_id": person.user_id}))
                cursor = page.get("next_cursor") or ""
                if not cursor:
                    break
    return list(read_lines(stack.folder / "inbox.jsonl"))


def _secrets(stack: Stack, people: list[ChaosPerson]) -> dict[str, str]:
    made = stack.wiring.secrets
    names = ("service_token_key", "identity_signing_key", "secrets_key", "servicenow_api_key")
    password = stack.database_url.partition("@")[0].rpartition(":")[2]
    webhooks = {
        f"a webhook's secret ({line['canary']})": line["secret"]
        for line in read_lines(stack.folder / "webhook_secrets.jsonl")
    }
    keys = {f"the key of {each.canary}": each.key for each in people}
    return {name: getattr(made, name) for name in names} | {"the database's password": password} | keys | webhooks


def _rows(url: str, statement: str) -> Rows:
    return [{name: _plain(value) for name, value in row.items()} for row in sql(url, statement)]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def _by(name: str, rows: Rows) -> dict[str, dict[str, Any]]:
    return {row[name]: row for row in rows}
