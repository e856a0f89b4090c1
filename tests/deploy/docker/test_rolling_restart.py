"""Every replica of every service is replaced under load, with mail and SMS on; the client's own ledger tells what was lost."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.deploy.docker.compose import API, Compose, Json
from tests.support.measures import Measured
from tests.support.waiting import eventually_blocking

SERVICES = ("integration-dispatcher", "agent-service", "request-manager")
PER_SECOND = 20
PEOPLE = 100  # each may ask 60 times a minute
PHONES = ("+14155550121", "+14155550122", "+14155550123")
REPLICAS = 2
ENDS_WITHIN_S = 1500
TEXTED_WITHIN_S = 300.0
KEPT_MAILS = 2_000  # by the stand-in
# The names of the mails that were sent to people: a mail that came twice has one name.
MAILS = """
import json, pathlib, re
found = [re.search(rb"(?im)^message-id:\\s*(\\S+)", each.read_bytes())[1].decode() for each in pathlib.Path("/state").rglob("*.eml")]
print(json.dumps(found))
"""


def people(compose: Compose) -> list[str]:
    """Keys of new people."""
    options = ("--email", "person@example.com", "--name", "Person", "--role", "user", "--count", str(PEOPLE))
    bootstrap = ("/app/bin/python", "-m", "request_manager.bootstrap", *options)
    found: list[Json] = json.loads(compose("exec", "-T", "request-manager", *bootstrap))
    return [person["api_key"] for person in found]


def texts(compose: Compose, phone: str) -> list[str]:
    phones = compose.fetch("http://127.0.0.1:8094/phones")["phones"]
    return [text["body"] for each in phones if each["number"] == phone for text in each["messages"]]


def add_phone(compose: Compose, key: str, phone: str) -> None:
    """The person sets their phone and proves by the code that it is theirs."""
    own = f"{API}/api/v1/users/me/integrations/sms"
    compose.fetch(own, "PUT", {"config": {"phone": phone}}, bearer=key)
    seen = eventually_blocking(lambda: texts(compose, phone), within_s=TEXTED_WITHIN_S, every_s=0.5)
    [code] = re.findall(r"\b\d{6}\b", seen[0])
    compose.fetch(f"{own}/verify", "POST", {"code": code}, bearer=key)


@contextmanager
def asking(compose: Compose, clients: list[tuple[str, list[str]]]) -> Iterator[list[Json]]:
    """A client at work; the list holds its ledger afterwards."""
    ledger: list[Json] = []
    arguments = ("run", "--rm", "-T", "--no-deps", "ledger", json.dumps(clients), str(PER_SECOND))
    with compose.started("--profile", "ledger", *arguments) as process:
        try:
            yield ledger
        finally:
            output, errors = process.communicate(b"stop\n", timeout=ENDS_WITHIN_S)
        assert process.returncode == 0, errors.decode()[-2000:]
        ledger.append(json.loads(output.splitlines()[-1]))


def replace_container(compose: Compose, service: str, container: str) -> None:
    compose.engine.docker("stop", "--time", "30", container)
    compose.engine.docker("rm", container)
    compose("up", "--detach", "--wait", "--no-deps", "--no-recreate", "--no-build", service)


def test_a_rolling_restart_of_every_service_loses_nothing(compose: Compose, measured: Measured) -> None:
    two = replace(compose, files=(*compose.files, "tests/deploy/docker/two-replicas.yml"))
    with two.running():
        keys = people(two)
        for key, phone in zip(keys, PHONES, strict=False):
            add_phone(two, key, phone)
        clients = [(key, ["email", "sms"] if number < len(PHONES) else ["email"]) for number, key in enumerate(keys)]
        with asking(two, clients) as ledger:
            for service in SERVICES:
                before = two.containers(service)
                assert len(before) == REPLICAS
                for container in before:
                    replace_container(two, service, container)
                after = two.containers(service)
                ids = " -> ".join(" ".join(each[:12] for each in some) for some in (before, after))
                measured(f"rolling restart, containers of {service}", ids)
                assert len(after) == REPLICAS
                assert not set(before) & set(after)
        [told] = ledger
        mails = two.python("mail", MAILS)
        texted = sum(len(texts(two, phone)) for phone in PHONES) - len(PHONES)  # without the codes
    check_ledger(told, measured)
    assert len(set(mails)) == len(mails)
    assert len(mails) == min(told["asked"], KEPT_MAILS)
    assert texted == deliveries(told).count(("sms", "delivered"))


def deliveries(told: Json) -> list[tuple[str, str]]:
    return [delivery for each in told["ended"] for delivery in each["deliveries"].items()]


def check_ledger(told: Json, measured: Measured) -> None:
    """Each request was answered once, and each answer was delivered to everywhere that was asked for."""
    ended, delivered = told["ended"], deliveries(told)
    completed = [each for each in ended if each["status"] == "completed"]
    counts = (
        f"asked {told['asked']} at {told['per_second']}/s, completed {len(completed)}, failed {len(told['failed'])}"
    )
    by_mail, by_sms = delivered.count(("email", "delivered")), delivered.count(("sms", "delivered"))
    measured(
        "rolling restart, ledger", f"{counts}; delivered {by_mail} mails, {by_sms} SMS of {len(delivered)} deliveries"
    )
    assert told["failed"] == []
    assert [each for each in ended if each["status"] != "completed"] == []
    assert len({each["request_id"] for each in completed}) == told["asked"]
    assert by_mail == told["asked"]
    assert by_mail + by_sms == len(delivered)
    assert {len(each["deliveries"]) for each in ended} == {1, 2}
