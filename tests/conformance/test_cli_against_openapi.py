"""Every call that `ssa` makes is one that request-manager's OpenAPI document describes."""

import re
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from request_manager.app import create_app
from request_manager.settings import RequestManagerSettings
from self_service_cli.command import Surroundings
from shared_models.settings import Profile

from tests.support.cli import REQUEST_ID, SESSION_ID, FakeLogins, problem, ssa

REQUEST, SESSION = str(REQUEST_ID), str(SESSION_ID)
CALLS = (
    ("ask x", "POST /api/v1/requests/cli"),
    ("chat", "POST /api/v1/requests/cli"),
    (f"requests list --status failed --session {SESSION} --cursor x", "GET /api/v1/requests"),
    (f"requests get {REQUEST}", "GET /api/v1/requests/{request_id}"),
    (f"requests watch {REQUEST}", "GET /api/v1/requests/{request_id}/events"),
    (f"requests cancel {REQUEST}", "POST /api/v1/requests/{request_id}/cancel"),
    (f"requests retry {REQUEST}", "POST /api/v1/requests/{request_id}/retry"),
    ("sessions list --cursor x", "GET /api/v1/sessions"),
    (f"sessions show {SESSION}", "GET /api/v1/sessions/{session_id}"),
    (f"sessions messages {SESSION} --cursor x", "GET /api/v1/sessions/{session_id}/messages"),
    (f"sessions rename {SESSION} title", "PATCH /api/v1/sessions/{session_id}"),
    (f"sessions close {SESSION} -y", "POST /api/v1/sessions/{session_id}/close"),
    ("agents", "GET /api/v1/agents"),
    ("deliveries list --cursor x", "GET /api/v1/users/{user_id}/deliveries"),
    (f"deliveries list --user {SESSION}", "GET /api/v1/users/{user_id}/deliveries"),
    (f"deliveries attempts {REQUEST}", "GET /api/v1/deliveries/{delivery_id}/attempts"),
    (f"deliveries replay {REQUEST} -y", "POST /api/v1/deliveries/{delivery_id}/replay"),
    ("dead-letters list --kind event --cause x --older-than 2h --cursor x", "GET /api/v1/dead-letters"),
    ("dead-letters show agent-service:1", "GET /api/v1/dead-letters/{letter_id}"),
    ("dead-letters replay agent-service:1", "POST /api/v1/dead-letters/{letter_id}/replay"),
    ("dead-letters replay --kind event -y", "POST /api/v1/dead-letters/replay"),
    ("dead-letters discard agent-service:1 -y", "DELETE /api/v1/dead-letters/{letter_id}"),
    ("integrations list", "GET /api/v1/users/{user_id}/integration-defaults"),
    ("integrations list --everybody", "GET /api/v1/integration-defaults"),
    ("integrations set webhook --config url=x", "PUT /api/v1/users/{user_id}/integrations/{integration}"),
    ("integrations set email --everybody", "PUT /api/v1/integration-defaults/{integration}"),
    ("integrations disable email", "PUT /api/v1/users/{user_id}/integrations/{integration}"),
    ("integrations reset email -y", "DELETE /api/v1/users/{user_id}/integrations/{integration}"),
    ("integrations reset -y", "POST /api/v1/users/{user_id}/integration-defaults/reset"),
    (f"feedback {REQUEST} up --reason x", "POST /api/v1/requests/{request_id}/feedback"),
    ("keys list --cursor x", "GET /api/v1/api-keys"),
    ("keys create ci --scope account", "POST /api/v1/api-keys"),
    (f"keys revoke {REQUEST} -y", "DELETE /api/v1/api-keys/{key_id}"),
)


@pytest.fixture(scope="module")
def operations() -> dict[str, Any]:
    """`METHOD path` → operation."""
    settings = RequestManagerSettings(
        database_url=SecretStr("postgresql://nobody@127.0.0.1/none"),
        service_token_key=SecretStr("k" * 32),
        profile=Profile.LOCAL,
    )
    paths: dict[str, dict[str, Any]] = create_app(settings).openapi()["paths"]
    return {f"{method.upper()} {path}": found for path, each in paths.items() for method, found in each.items()}


def first_call(line: str) -> httpx.Request:
    """What the command sends first, to a server that knows nothing."""
    seen: list[httpx.Request] = []

    def not_found(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return problem(404, "not_found")

    def http() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(not_found))

    result = ssa(*line.split(), surroundings=Surroundings(create_http=http, logins=FakeLogins()), stdin="x\n")
    assert result.exit_code == 3, result.output
    return seen[0]


@pytest.mark.parametrize(("line", "expected"), CALLS)
def test_a_command_calls_what_is_described(line: str, expected: str, operations: dict[str, Any]) -> None:
    request = first_call(line)
    operation = operations[expected]
    method, path = expected.split(" ")
    assert request.method == method
    assert re.fullmatch(re.sub(r"\{[a-z_]+\}", "[^/]+", path), request.url.path)
    described = {each["name"]: each["in"] for each in operation.get("parameters", [])}
    assert {name for name in request.url.params if described.get(name) != "query"} == set()
    assert bool(request.content) == ("requestBody" in operation)
