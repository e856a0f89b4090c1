"""What the modes have in common: the same routes, described in the same words; and a start that is refused alike."""

import os
import subprocess
import sys

import pytest
from shared_models.enums import ServiceName

from tests.support.trio import apps_of

SERVICES = ("request_manager", "agent_service", "integration_dispatcher")


def test_the_apis_of_both_modes_are_described_alike() -> None:
    direct, eventing = apps_of(eventing_enabled=False), apps_of(eventing_enabled=True)
    assert set(direct) == set(eventing) == set(ServiceName) - {ServiceName.BROKER}
    for name, app in direct.items():
        assert app.openapi() == eventing[name].openapi(), name
        answers = app.openapi()["paths"]["/events"]["post"]["responses"]
        assert set(answers) == {"202", "400", "401", "403", "503"}
        assert not any("content" in answer for answer in answers.values()), name


@pytest.mark.parametrize("service", SERVICES)
def test_eventing_without_a_broker_does_not_start_and_says_why(service: str) -> None:
    given = {"DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/d", "SERVICE_TOKEN_KEY": "k" * 32}
    secrets = {"SECRETS_KEY": "A" * 43 + "=", "IDENTITY_SIGNING_KEY": "A" * 43 + "="}
    env = {"PATH": os.environ["PATH"], "EVENTING_ENABLED": "true"} | given | secrets
    ran = subprocess.run([sys.executable, "-m", service], env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [
        f"{service.replace('_', '-')} cannot start:",
        "  EVENTING_ENABLED=true needs BROKER_URL (or K_SINK): the address where events are posted",
    ]
