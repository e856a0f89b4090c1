"""integration-dispatcher killed around its acknowledgement of what Slack brings: asked once, and never lost."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.process.test_dispatcher_process import process_of
from tests.support.fake_slack import FakeSlack
from tests.support.servers import free_socket, serving
from tests.support.slack_in import JSON, SECRET, FakeManager, member, message
from tests.support.slack_signing import sign
from tests.support.waiting import eventually


@pytest.fixture
async def neighbours() -> AsyncIterator[tuple[FakeManager, str]]:
    """request-manager and Slack's Web API on a real port."""
    manager, slack = FakeManager(), FakeSlack()
    slack.members = {"U1": member("ana@example.com")}

    async def take(request: Request) -> Response:
        asked = httpx.Request(
            request.method, f"http://neighbour{request.url.path}", headers=request.headers, content=await request.body()
        )
        answer = await manager.take(asked) or slack.take(asked)
        return Response(answer.content, answer.status_code, media_type="application/json")

    sock, url = free_socket()
    async with serving(Starlette(routes=[Route("/{path:path}", take, methods=["GET", "POST"])]), sock):
        yield manager, url


@pytest.mark.parametrize(
    ("point", "is_acknowledged"),
    [
        ("dispatcher.inbound.before_commit", False),
        ("dispatcher.inbound.recorded", False),
        ("dispatcher.inbound.before_forward", True),
        ("dispatcher.inbound.forwarded", True),
    ],
)
async def test_a_process_killed_around_the_acknowledgement_asks_once(
    database_url: str, neighbours: tuple[FakeManager, str], tmp_path: Path, point: str, is_acknowledged: bool
) -> None:
    manager, url = neighbours
    faults = tmp_path / "faults"
    faults.mkdir()
    (faults / point).write_text(json.dumps({"kind": "exit"}))
    env = {
        "SLACK_BOT_TOKEN": "xoxb-test",
        "SLACK_SIGNING_SECRET": SECRET,
        "SLACK_API_URL": f"{url}/api/",
        "REQUEST_MANAGER_URL": url,
        "FAULTS_DIR": str(faults),
    }
    body = json.dumps(message("hello")).encode()
    async with process_of(database_url, tmp_path / "log", env) as first:

        async def is_killed() -> bool:
            """An acknowledgement may lose the race against the kill: what counts is that no event is lost or asked twice."""
            was_acknowledged = await sent(first.http, body)
            assert is_acknowledged or not was_acknowledged
            return first.process.returncode is not None

        await eventually(is_killed)
    async with process_of(database_url, tmp_path / "log", env) as second:
        if not is_acknowledged:  # Slack sends again what was not acknowledged
            await eventually(lambda: sent(second.http, body))

        async def is_asked() -> bool:
            return manager.texts == ["hello"]

        await eventually(is_asked)
        await eventually(lambda: sent(second.http, body))
    assert manager.texts == ["hello"]


async def sent(http: httpx.AsyncClient, body: bytes) -> bool:
    """True when it was acknowledged."""
    headers = {"content-type": JSON, **sign(body, secret=SECRET)}
    try:
        return (await http.post("/slack/events", content=body, headers=headers)).status_code == 200
    except httpx.TransportError:
        return False
