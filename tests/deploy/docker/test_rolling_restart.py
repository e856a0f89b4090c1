"""Every replica of every service is replaced under load; the client's own ledger tells whether anything was lost."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.deploy.docker.compose import Compose, Json

SERVICES = ("integration-dispatcher", "agent-service", "request-manager")
PER_SECOND = 20
PEOPLE = 100  # each may ask 60 times a minute
REPLICAS = 2


def people(compose: Compose) -> list[str]:
    """Keys of new people."""
    options = ("--email", "person@example.com", "--name", "Person", "--role", "user", "--count", str(PEOPLE))
    bootstrap = ("/app/bin/python", "-m", "request_manager.bootstrap", *options)
    found: list[Json] = json.loads(compose("exec", "-T", "request-manager", *bootstrap))
    return [person["api_key"] for person in found]


@contextmanager
def asking(compose: Compose, keys: list[str]) -> Iterator[list[Json]]:
    """A client at work; the list holds its ledger afterwards."""
    ledger: list[Json] = []
    arguments = ("run", "--rm", "-T", "--no-deps", "ledger", json.dumps(keys), str(PER_SECOND))
    with compose.started("--profile", "ledger", *arguments) as process:
        try:
            yield ledger
        finally:
            output, errors = process.communicate(b"stop\n", timeout=180)
        assert process.returncode == 0, errors.decode()[-2000:]
        ledger.append(json.loads(output.splitlines()[-1]))


def replace_container(compose: Compose, service: str, container: str) -> None:
    compose.engine.docker("stop", "--time", "30", container)
    compose.engine.docker("rm", container)
    compose("up", "--detach", "--wait", "--no-deps", "--no-recreate", "--no-build", service)


def test_a_rolling_restart_of_every_service_loses_nothing(compose: Compose) -> None:
    two = replace(compose, files=(*compose.files, "tests/deploy/docker/two-replicas.yml"))
    two.up()
    keys = people(two)
    with asking(two, keys) as ledger:
        for service in SERVICES:
            before = two.containers(service)
            assert len(before) == REPLICAS
            for container in before:
                replace_container(two, service, container)
            after = two.containers(service)
            print(f"{service}: {' '.join(each[:12] for each in before)} -> {' '.join(each[:12] for each in after)}")
            assert len(after) == REPLICAS
            assert not set(before) & set(after)
    two.down()
    [told] = ledger
    print(f"asked {told['asked']}, ended {len(told['ended'])}, failed {len(told['failed'])}")
    assert told["failed"] == []
    assert len(told["ended"]) == told["asked"]
    assert {each["status"] for each in told["ended"]} == {"completed"}
    assert len({each["request_id"] for each in told["ended"]}) == told["asked"]
