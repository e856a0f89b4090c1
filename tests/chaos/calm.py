"""What a storm would blur: one fault at a time on one stack, with times, and one audit over all of it at the end."""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import httpx
from local_stack.programs import Child
from shared_models.enums import ServiceName
from shared_models.faults import STRUCK, Kind
from shared_models.tokens import ServiceTokens
from shared_models.worker import MAX_LOST

from tests.chaos.audit import audit
from tests.chaos.client import ClientJob
from tests.chaos.evidence import gather
from tests.chaos.lines import Json, Lines, read_lines
from tests.chaos.people import ChaosPerson
from tests.chaos.stack import BROKER, DIRECT, EVENTING, READY_TIMEOUT_S, REPLICAS, SERVICES, Stack, set_model_latency
from tests.chaos.storm import Result, drain, finish, people_of, start_client
from tests.chaos.talk import Do, new_said
from tests.load.cluster import sql
from tests.support.event_cases import bad_events

# Only what never comes is wrong here: a slow machine takes long to start a process, and poison makes it start five.
BACK_WITHIN_S = READY_TIMEOUT_S
POISON_ENDS_WITHIN_S = 3 * READY_TIMEOUT_S
# The reaches: what takes longer makes the run fail, on any machine.
SERVICE_BACK_S, DATABASE_BACK_S = 30.0, 10.0
QUEUE_DRAINED_S, BROKER_DRAINED_S = 200.0, 60.0
WON = "select coalesce(error_code, status) as how, count(*) from request_logs where created_at >= $1 group by 1"
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


@dataclass(frozen=True)
class Measures:
    """How much of each; `away_s`: how long PostgreSQL and the broker are gone."""

    races: int = 1000
    queued: int = 10_000
    away_s: float = 60.0
    rolling: int = 2


@dataclass
class Calm:
    """`notes` collects the times; `wrong` what a scenario itself has found; `poisoned`: who may be given up."""

    stack: Stack
    people: list[ChaosPerson]
    seed: int
    notes: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    poisoned: set[str] = field(default_factory=set)

    def client(self, name: str, *, kind: str = "talk", most: int = 1_000_000, share_of_odd: float = 0.0) -> "Load":
        until = self.stack.folder / f"until-{name}"
        job = ClientJob(
            url=self.stack.url,
            folder=str(self.stack.folder),
            until=str(until),
            seed=self.seed,
            talkers=[each.as_json() for each in self.people],
            owners=[],
            kind=kind,
            most=most,
            pause_s=0.5,
            share_of_odd=share_of_odd,
        )
        return Load(self.stack, until, start_client(self.stack, job))

    def post(self, person: ChaosPerson, do: Do, *, session: str = "", to: str = "test", **facts: object) -> Json:
        """One request, written into the ledger like those of the client."""
        said = new_said(person.canary, do)
        body: Json = {"content": said.words, "deliver_to": [to], **({"session_id": session} if session else {})}
        headers = {"authorization": f"Bearer {person.key}", "prefer": "respond-async"}
        url = f"{self.stack.url}/api/v1/requests/generic"
        answer: Json = httpx.post(url, json=body, headers=headers, timeout=30).raise_for_status().json()
        known = {name: answer[name] for name in ("request_id", "session_id")}
        Lines(self.stack.folder / "ledger.jsonl").add(
            kind="accepted", canary=person.canary, nonce=said.nonce, do=do, deliver_to=[to], **known, **facts
        )
        return answer

    def until(self, is_done: Callable[[], bool], what: str, within_s: float = BACK_WITHIN_S) -> float:
        """Seconds until it is so; what never is, is wrong."""
        began_s = time.monotonic()
        while not is_done():
            self.stack.tick()
            if time.monotonic() - began_s > within_s:
                self.wrong.append(f"not within {within_s:.0f} s: {what}")
                break
            time.sleep(0.05)
        return time.monotonic() - began_s

    def took(self, name: str, seconds: float, *, at_most_s: float) -> None:
        self.notes[f"{name}, s"] = seconds
        if seconds > at_most_s:
            self.wrong.append(f"{name}: {seconds:.1f} s, at most {at_most_s:.0f} s")

    def pass_time(self, seconds: float) -> None:
        over_at = time.monotonic() + seconds
        while time.monotonic() < over_at:
            self.stack.tick()
            time.sleep(0.05)

    def has_ended(self, request_id: str) -> bool:
        statement = "select status from request_logs where request_id = $1::text::uuid and ended_at is not null"
        return bool(sql(self.stack.database_url, statement, request_id))

    def is_delivered(self, request_id: str) -> bool:
        statement = "select 1 from delivery_logs where request_id = $1::text::uuid and status = 'delivered'"
        return bool(sql(self.stack.database_url, statement, request_id))


@dataclass
class Load:
    """A running client."""

    stack: Stack
    until: Path
    client: Child

    def end(self) -> None:
        self.until.touch()
        self.wait()

    def wait(self) -> None:
        finish(self.stack, self.client)

    @property
    def unanswered(self) -> int:
        """How often a connection broke, or the answer was 429 or a 5xx."""
        lines = read_lines(self.stack.folder / "ledger.jsonl")
        return sum(line["unanswered"] for line in lines if line["kind"] == "done" and line["until"] == str(self.until))


def back_to_work(calm: Calm) -> None:
    """Both replicas of a service die with a request in their hands: how long until it has its answer, and it is delivered."""
    for service in SERVICES:
        is_held = service != "integration-dispatcher"  # a delivery takes milliseconds: there, ask just after the death
        asked = calm.post(calm.people[0], Do.ANSWER_SLOWLY, to="webhook") if is_held else {}
        for name in calm.stack.replicas(service):
            calm.stack.kill(name)
        began_s = time.monotonic()
        asked = asked or calm.post(calm.people[0], Do.ANSWER, to="webhook")
        calm.until(lambda asked=asked: calm.is_delivered(asked["request_id"]), f"back after {service}")  # type: ignore[misc]
        back_s = time.monotonic() - began_s
        calm.took(f"back to work after kill -9 of {service}", back_s, at_most_s=SERVICE_BACK_S)
        calm.stack.wait_until_ready()


def back_after_database(calm: Calm, away_s: float = 0.0) -> None:
    """PostgreSQL dies with a request under way; the time counts from when it answers again."""
    name = f"PostgreSQL, {away_s:.0f} s away" if away_s else "PostgreSQL"
    asked = calm.post(calm.people[0], Do.ANSWER_SLOWLY, to="test")
    calm.stack.kill_database(signal.SIGKILL, away_s=away_s)
    back_s = calm.until(lambda: calm.is_delivered(asked["request_id"]), f"back after {name}")
    calm.took(f"back to work after kill -9 of {name}", back_s, at_most_s=DATABASE_BACK_S)


def races(calm: Calm, count: int) -> None:
    """Cancels and closes against answers: one end each (the audit), and no deadlock."""
    before, began_at = sql(calm.stack.database_url, DEADLOCKS)[0][0], datetime.now(UTC)
    calm.client("races", kind="race", most=count * 3).wait()
    drain(calm.stack)
    deadlocks = sql(calm.stack.database_url, DEADLOCKS)[0][0] - before
    calm.notes["deadlocks in the races"] = deadlocks
    if deadlocks:
        calm.wrong.append(f"{deadlocks} deadlocks")
    won = dict(map(tuple, sql(calm.stack.database_url, WON, began_at)))
    for how in ("completed", "cancelled", "session_closed"):
        calm.notes[f"races that ended as {how}"] = won.get(how, 0)
        if not won.get(how):
            calm.wrong.append(f"no race ended as {how}: nothing has raced")


def poison(calm: Calm, point: str, service: str) -> None:
    """A request that kills whoever touches it ends as failed after five deaths; everybody else goes on."""
    person, name = calm.people[1], f"poison at {point}"
    first = calm.post(person, Do.ANSWER_SLOWLY)
    asked = calm.post(person, Do.FAIL_ALWAYS, session=first["session_id"])
    calm.poisoned.add(asked["request_id"])
    calm.stack.arm(point, kind=Kind.EXIT, match=asked["request_id"], once=False)
    load = calm.client(f"poison-{service}")
    took_s = calm.until(lambda: calm.has_ended(asked["request_id"]), name, POISON_ENDS_WITHIN_S)
    (calm.stack.faults / point).unlink()
    load.end()
    struck = [line for line in read_lines(calm.stack.faults / STRUCK) if line["ref"] == asked["request_id"]]
    calm.notes[f"{name}: ended after, s"], calm.notes[f"{name}: deaths"] = took_s, len(struck)
    # One that stood still for longer than its lease may die of it beside the next holder: two deaths, one of them counted.
    if not 1 < len(struck) <= MAX_LOST * REPLICAS:
        calm.wrong.append(f"{name}: {len(struck)} deaths")


def malformed(calm: Calm) -> None:
    """Events against the rules, under load: each is refused for good, and nobody else notices."""
    tokens = ServiceTokens(calm.stack.wiring.secrets.service_token_key, ServiceName.BROKER)
    load = calm.client("malformed")
    for name in SERVICES:
        service = ServiceName(name)
        port = getattr(calm.stack.wiring.ports, name.replace("-", "_"))
        token = {"authorization": f"Bearer {tokens.make(service)}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=token, timeout=60) as http:
            calm.wrong += [f"{name}: {each}" for each in not_refused(http)]
        for sent in bad_events():
            Lines(calm.stack.folder / "ledger.jsonl").add(kind="malformed", service=name, event=sent.name)
        calm.stack.tick()
    load.end()


def not_refused(http: httpx.Client) -> Iterator[str]:
    for sent in bad_events():
        status = http.post("/events", content=sent.body, headers=sent.headers).status_code
        if status != HTTPStatus.BAD_REQUEST:
            yield f"{status} for an event with a fault: {sent.name}"


def rolling(calm: Calm, rounds: int) -> None:
    """SIGTERM to one replica after the other under load. A stop of request-manager may break the connection of each person
    once; what the client saw refused is the audit's."""
    load = calm.client("rolling")
    for _ in range(rounds):
        for service in SERVICES:
            for name in calm.stack.replicas(service):
                stop_and_start(calm, name)
    load.end()
    most = len(calm.people) * REPLICAS * rounds
    calm.notes["unanswered calls in the rolling restarts"] = load.unanswered
    if load.unanswered > most:
        calm.wrong.append(f"{load.unanswered} unanswered calls in the rolling restarts, at most {most}")


def stop_and_start(calm: Calm, name: str) -> None:
    slot = calm.stack.slots[name]
    starts = slot.starts
    calm.stack.kill(name, signal.SIGTERM)
    calm.until(lambda: slot.starts > starts, f"{name} stops")
    calm.stack.wait_until_ready()


def broker_away(calm: Calm, away_s: float) -> None:
    """Requests are accepted all the same; afterwards everything comes to its end."""
    calm.stack.hold([BROKER])
    load = calm.client("broker-away", kind="queue", most=int(away_s * 5))
    calm.pass_time(away_s)
    calm.stack.resume()
    load.end()
    calm.took(f"drained after the broker was away {away_s:.0f} s", drain(calm.stack), at_most_s=BROKER_DRAINED_S)


def queued(calm: Calm, count: int) -> None:
    """So many requests wait when everything is restarted; the model takes 200 ms."""
    set_model_latency(calm.stack, 200)
    calm.stack.hold(calm.stack.replicas("agent-service"))
    calm.client("queued", kind="queue", most=count).wait()
    calm.stack.hold(calm.stack.slots)
    calm.stack.cluster.stop()
    calm.stack.cluster.start()
    waiting = sql(calm.stack.database_url, "select count(*) from request_logs where ended_at is null")[0][0]
    calm.notes["queued when everything was restarted"] = waiting
    if waiting < count:
        calm.wrong.append(f"{waiting} of {count} waited when everything was restarted")
    calm.stack.resume()
    calm.took("drained after the full restart", drain(calm.stack), at_most_s=QUEUE_DRAINED_S)
    set_model_latency(calm.stack, 0)


def calm_run(stack: Stack, seed: int, size: Measures) -> Result:
    talkers, _ = people_of(stack, talkers=60, owners=0)
    calm = Calm(stack, talkers, seed)
    back_to_work(calm)
    back_after_database(calm)
    back_after_database(calm, size.away_s)
    races(calm, size.races)
    poison(calm, "agent_service.begun", "agent-service")
    # Over a broker a hand-over does not wait for the one before it, so it is gone when it is armed.
    if stack.mode == DIRECT:
        poison(calm, "request_manager.handover.before_send", "request-manager")
    malformed(calm)
    rolling(calm, size.rolling)
    if stack.mode == EVENTING:
        broker_away(calm, size.away_s)
    if size.queued:
        queued(calm, size.queued)
    drain(stack)
    findings = audit(gather(stack, talkers, may_be_given_up=calm.poisoned))
    findings.by_check["scenarios"] = calm.wrong
    kills = stack.killed + len([line for line in read_lines(stack.faults / STRUCK) if line["kind"] == Kind.EXIT])
    return Result(stack.folder.name, findings, kills, notes=calm.notes)
