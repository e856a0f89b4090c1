"""Who may send to the local broker: a service with a token for it, and, where there are policies, whom they name.

A Knative broker checks the same with its own tokens (OIDC): see docs/conformance.md."""

import time
from typing import Any

import jwt
import pytest
from shared_models.enums import ServiceName
from shared_models.tokens import ServiceTokens

from tests.conformance.conftest import Start
from tests.support.broker import BROKER, KEY, Receiver, broker, exact, trigger
from tests.support.event_cases import attributes, binary, structured

OTHER_KEY = "k" * 40


def token(service: ServiceName, audience: ServiceName = ServiceName.BROKER, key: str = KEY) -> str:
    return ServiceTokens(key, service).make(audience)


def expired() -> str:
    now = int(time.time())
    return jwt.encode({"sub": "agent-service", "aud": "broker", "iat": now - 600, "exp": now - 300}, KEY, "HS256")


def unsigned() -> str:
    now = int(time.time())
    return jwt.encode({"sub": "agent-service", "aud": "broker", "iat": now, "exp": now + 300}, "", "none")


@pytest.mark.parametrize("shape", [binary, structured], ids=["binary", "structured"])
async def test_only_a_valid_token_for_the_broker_lets_an_event_in(start: Start, receiver: Receiver, shape: Any) -> None:
    wrong = {
        "none": "",
        "no token at all": "nonsense",
        "wrong audience": token(ServiceName.AGENT_SERVICE, ServiceName.REQUEST_MANAGER),
        "bad signature": token(ServiceName.AGENT_SERVICE, key=OTHER_KEY),
        "expired": expired(),
        "unsigned": unsigned(),
    }
    async with start([broker(), trigger("t", "/in")]) as running:
        found = {
            name: (await running.post(*shape(attributes()), token=each)).status_code for name, each in wrong.items()
        }
        assert found == dict.fromkeys(wrong, 401)
        good = await running.post(*shape(attributes()), token=token(ServiceName.AGENT_SERVICE))
        assert good.status_code == 202
        await running.idle()
    assert len(receiver.at("/in")) == 1


def policy(*subjects: str, to: str = "", **attributes_: str) -> dict[str, Any]:
    """`to`: the broker that it is for; empty: every one."""
    target = {"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": to}}
    return {
        "apiVersion": "eventing.knative.dev/v1alpha1",
        "kind": "EventPolicy",
        "metadata": {"name": "senders"},
        "spec": {
            "from": [{"sub": subject} for subject in subjects],
            **({"to": [target]} if to else {}),
            **({"filters": [exact(**attributes_)]} if attributes_ else {}),
        },
    }


@pytest.mark.parametrize("shape", [binary, structured], ids=["binary", "structured"])
@pytest.mark.parametrize("subject", ["agent-service", "agent-*"])
async def test_a_policy_lets_in_only_whom_it_names(start: Start, shape: Any, subject: str) -> None:
    async with start([broker(), policy(subject)]) as running:
        allowed = await running.post(*shape(attributes()), token=token(ServiceName.AGENT_SERVICE))
        denied = await running.post(*shape(attributes()), token=token(ServiceName.REQUEST_MANAGER))
        assert (allowed.status_code, denied.status_code) == (202, 403)


async def test_a_policys_filter_admits_one_event_and_refuses_another(start: Start) -> None:
    async with start([broker(), policy("*", type="good")]) as running:
        found = [(await running.post(*binary(attributes(type=kind)))).status_code for kind in ("good", "bad")]
        assert found == [202, 403]


async def test_a_policy_for_another_broker_changes_nothing(start: Start) -> None:
    async with start([broker(), policy("nobody", to="another")]) as running:
        assert (await running.post(*binary(attributes()))).status_code == 202
    async with start([broker(), policy("nobody", to=BROKER)]) as running:
        assert (await running.post(*binary(attributes()))).status_code == 403


async def test_the_control_path_wants_a_token_too(start: Start) -> None:
    async with start([broker()]) as running:
        url = running.url + "/control"
        allowed = {"authorization": f"Bearer {running.token}"}
        assert (await running.http.get(url)).status_code == 401
        assert (await running.http.put(url, content=b'{"copies": 5}')).status_code == 401
        assert (await running.http.put(url, content=b'{"copys": 5}', headers=allowed)).status_code == 422
        assert (await running.http.put(url, content=b'{"copies": 1, "seed": 7}', headers=allowed)).status_code == 200
        state = (await running.http.get(url, headers=allowed)).json()
        assert (state["knobs"]["copies"], state["is_idle"]) == (1, True)
