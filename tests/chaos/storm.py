"""One run: people ask, everything dies again and again, then it comes to rest and the audit looks."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
from local_stack.programs import Child, Program
from local_stack.settings import REPOSITORY, inherited_environment
from shared_models.faults import POINTS

from tests.chaos.audit import Findings, audit
from tests.chaos.client import ClientJob
from tests.chaos.evidence import gather
from tests.chaos.lines import Lines
from tests.chaos.monkey import Monkey
from tests.chaos.people import ChaosPerson, make_people, write_laptops
from tests.chaos.stack import BROKER, EVENTING, Stack, sink_url
from tests.load.cluster import sql

WORK = REPOSITORY / ".local" / "chaos"
DRAINED_WITHIN_S = 600.0  # a broker's exponential back-off waits as long as the outage was
STALLED_AFTER_S = 300.0
# Nobody writes from Slack or by mail here: tests/process/test_slack_process.py kills at these.
SILENT = "dispatcher.inbound."
OPEN = """
select (select count(*) from request_logs where ended_at is null)
     + (select count(*) from work_items where dead_at is null)
     + (select count(*) from delivery_logs where status in ('pending', 'retrying'))
"""
OPEN_OF_BROKER = "select count(*) from local_broker.events"


@dataclass(frozen=True)
class Size:
    """When a run is enough: `kills` deaths and `accepted` requests; `most_s` ends it in any case. Those who want a laptop come
    within the first `laptops_within_s`."""

    kills: int
    accepted: int
    most_s: float
    talkers: int = 24
    owners: int = 12
    laptops_within_s: float = 100.0
    knobs: dict[str, float] = field(default_factory=dict)


@dataclass
class Result:
    """One line of the table. `notes` go below it."""

    name: str
    findings: Findings
    kills: int
    never_struck: list[str] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, int]:
        return {"kills": self.kills} | self.findings.row


def people_of(stack: Stack, *, talkers: int, owners: int) -> tuple[list[ChaosPerson], list[ChaosPerson]]:
    """People with webhooks of their own, and owners of laptops."""
    people = make_people(stack.database_url, talkers + owners)
    write_laptops(stack.folder / "servicenow", people[talkers:])
    kept = Lines(stack.folder / "webhook_secrets.jsonl")
    with httpx.Client(base_url=stack.url, timeout=20) as http:
        for person in people[:talkers]:
            config = {"url": sink_url(stack, person.canary)}
            body = {"enabled": True, "priority": 1, "config": config, "retry_delay_seconds": 0}
            headers = {"authorization": f"Bearer {person.key}"}
            reply = http.put("/api/v1/users/me/integrations/webhook", json=body, headers=headers)
            kept.add(canary=person.canary, secret=reply.raise_for_status().json()["secret"])
    return people[:talkers], people[talkers:]


def points_of(mode: str) -> list[str]:
    """Where somebody can die in a storm of this mode."""
    return [each for each in POINTS if not each.startswith(SILENT) and (mode == EVENTING or not is_of_broker(each))]


def is_of_broker(point: str) -> bool:
    return point.startswith("local_broker.")


def start_client(stack: Stack, job: ClientJob) -> Child:
    """It ends with the stack, if not before."""
    file = Path(f"{job.until}.job")
    file.write_text(json.dumps(asdict(job)))
    command = [sys.executable, "-m", "tests.chaos.client", str(file)]
    log = stack.folder / "logs" / "client.txt"
    client = Child(Program("client", command, inherited_environment(), 0), log, is_again=True)
    stack.around.append(client)
    return client


def storm(stack: Stack, seed: int, size: Size, first: Sequence[str] = ()) -> Result:
    """Load and deaths together until both are enough, and somebody has died at each point of `first`; then rest, then the audit."""
    talkers, owners = people_of(stack, talkers=size.talkers, owners=size.owners)
    until = stack.folder / "until"
    job = ClientJob(
        url=stack.url,
        folder=str(stack.folder),
        until=str(until),
        seed=seed,
        talkers=[each.as_json() for each in talkers],
        owners=[each.as_json() for each in owners],
        pause_s=0.5,
        laptops_within_s=size.laptops_within_s,
    )
    client = start_client(stack, job)
    has_broker = BROKER in stack.slots
    monkey = Monkey(stack, seed, points_of(stack.mode), first=list(first), knobs=size.knobs if has_broker else {})
    give_up_at = time.monotonic() + size.most_s

    def is_enough() -> bool:
        is_late = time.monotonic() > give_up_at
        is_struck = not set(first) & set(monkey.never_struck())
        return is_late or (is_struck and monkey.kills >= size.kills and accepted_count(stack) >= size.accepted)

    monkey.run(is_enough)
    until.touch()
    finish(stack, client)
    drained_s = drain(stack)
    findings = audit(gather(stack, [*talkers, *owners]))
    return Result(stack.folder.name, findings, monkey.kills, monkey.never_struck(), {"drained after, s": drained_s})


def accepted_count(stack: Stack) -> int:
    ledger = stack.folder / "ledger.jsonl"
    return ledger.read_bytes().count(b'"accepted"') if ledger.exists() else 0


def finish(stack: Stack, client: Child) -> None:
    """The client ends what it has begun. Raises TimeoutError when it gets nothing accepted any more, nor ends."""
    seen, give_up_at = -1, 0.0
    while client.process.poll() is None:
        stack.tick()
        count = accepted_count(stack)
        if count > seen:
            seen, give_up_at = count, time.monotonic() + STALLED_AFTER_S
        elif time.monotonic() > give_up_at:
            raise TimeoutError("the load client does not come to its end")
        time.sleep(0.2)
    if client.process.returncode != 0:
        raise RuntimeError(f"the load client failed: see {stack.folder}/logs/client.txt")


def drain(stack: Stack, within_s: float = DRAINED_WITHIN_S) -> float:
    """Until nothing is open any more, or the time is over: then the audit says what is stuck. Returns the seconds."""
    began_s = time.monotonic()
    while _open(stack) and time.monotonic() - began_s < within_s:
        stack.tick()
        time.sleep(0.2)
    return time.monotonic() - began_s


def _open(stack: Stack) -> int:
    """An event that the broker still tries to bring may be the last that anybody waits for."""
    statements = [OPEN, *([OPEN_OF_BROKER] if BROKER in stack.slots else [])]
    return sum(sql(stack.database_url, statement)[0][0] for statement in statements)


def folder_of(name: str) -> Path:
    WORK.mkdir(parents=True, exist_ok=True)
    return WORK / name
