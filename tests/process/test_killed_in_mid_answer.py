"""`kill -9` of agent-service, and of the broker, while the model thinks: both are started again, and the answer comes, once."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.load.fake_responses import MODEL, PREFIX
from tests.load.model import FakeModel, running_model
from tests.support.stack import READY_WITHIN_S, Stack, open_folder, running_stack
from tests.support.waiting import eventually_blocking

NONCE = "nonce-" + "5" * 32
LATENCY_MS = 600_000


@pytest.fixture(params=["false", "true"], ids=["direct", "eventing"])
def eventing(request: pytest.FixtureRequest) -> str:
    enabled: str = request.param
    return enabled


@pytest.fixture
def slow_stack(eventing: str) -> Iterator[tuple[Stack, FakeModel]]:
    """The services with a model that does not answer for ten minutes."""
    with open_folder() as folder, running_model(folder / "model.log") as model:
        given = {"LLAMA_STACK_URL": model.url, "LLAMA_STACK_MODEL": MODEL, "EVENTING_ENABLED": eventing}
        with running_stack(folder / "state", environment=given) as stack:
            model.control(latency_ms=LATENCY_MS)
            yield stack, model


def call(stack: Stack, method: str, path: str, **given: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {stack.env['SSA_TOKEN']}", "prefer": "respond-async"}
    return httpx.request(method, stack.url + path, headers=headers, timeout=60, **given)


def kill(stack: Stack, module: str) -> None:
    os.kill(next(each for each in stack.children() if module in each.cmdline()).pid, signal.SIGKILL)


def test_the_answer_comes_once_after_the_restart(slow_stack: tuple[Stack, FakeModel], eventing: str) -> None:
    stack, model = slow_stack
    body = {"content": f"Please say {NONCE}", "deliver_to": ["test"]}
    accepted = call(stack, "POST", "/api/v1/requests/cli", json=body).json()
    eventually_blocking(lambda: model.calls == 1)
    model.control(latency_ms=0)
    kill(stack, "agent_service")
    if eventing == "true":
        kill(stack, "local_stack.broker")
    path = f"/api/v1/requests/{accepted['request_id']}"

    def ended() -> dict[str, Any]:
        result = call(stack, "GET", f"{path}/result?wait=5")
        return dict(result.json()) if result.status_code == 200 else {}

    result = eventually_blocking(ended, within_s=READY_WITHIN_S)
    assert (result["status"], result["response"]["content"]) == ("completed", f"{PREFIX} {NONCE}")
    assert model.calls > 0, "the call that was cut off is made once more"
    assert "agent-service was killed: starting it again" in stack.output
    assert ("broker was killed: starting it again" in stack.output) is (eventing == "true")
    said = call(stack, "GET", f"/api/v1/sessions/{accepted['session_id']}/messages").json()["items"]
    assert [each["role"] for each in said] == ["user", "assistant"]
    messages = eventually_blocking(lambda: call(stack, "GET", "/api/v1/users/me/test-messages").json()["items"])
    assert [each["content"] for each in messages] == [result["response"]["content"]]
