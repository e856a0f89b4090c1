"""The Slack stand-in on a real port: broken connections, Socket Mode, what other programs and other pages may do."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import pytest
from local_stack.slack.sender import Sent

from tests.support.slack import APP_TOKEN, BOT_TOKEN, SlackWorld, slack_world

HELP = "#it-help"
CONTROL = {"x-control-token": "control"}


@pytest.fixture
async def slack() -> AsyncIterator[SlackWorld]:
    app = httpx.MockTransport(lambda request: httpx.Response(200))
    async with (
        httpx.AsyncClient(transport=app) as http,
        slack_world(http=http, post_every_s=0.0, control_token="control") as world,
    ):
        yield world


@pytest.fixture
async def api(slack: SlackWorld) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {BOT_TOKEN}"}
    async with httpx.AsyncClient(base_url=slack.api_url, headers=headers, trust_env=False, timeout=60) as client:
        yield client


async def post(api: httpx.AsyncClient, text: str) -> dict[str, Any]:
    reply = await api.post("chat.postMessage", json={"channel": HELP, "text": text})
    body: dict[str, Any] = reply.json()
    return body


async def test_a_lost_reply_breaks_the_connection_after_the_post_is_there(
    slack: SlackWorld, api: httpx.AsyncClient
) -> None:
    slack.fault(method="chat.postMessage", loses_reply=True, every=3, times=2)
    lost = 0
    for number in range(7):
        try:
            await post(api, str(number))
        except httpx.RemoteProtocolError:
            lost += 1
    assert lost == 2
    assert [each.text for each in slack.messages(HELP)] == [str(number) for number in range(7)]


async def test_a_scripted_fault_answers_in_slacks_words_and_then_is_over(
    slack: SlackWorld, api: httpx.AsyncClient
) -> None:
    slack.fault(method="chat.postMessage", error="token_revoked")
    slack.fault(status=429, retry_after_s=7)
    assert (await post(api, "1"))["error"] == "token_revoked"
    limited = await api.post("chat.postMessage", json={"channel": HELP, "text": "2"})
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert (await post(api, "3"))["error"] == "ratelimited"
    assert [method for method, _ in slack.violations] == ["chat.postMessage"]
    assert slack.messages(HELP) == []


async def test_a_silent_fault_never_answers(slack: SlackWorld, api: httpx.AsyncClient) -> None:
    slack.fault(method="auth.test", is_silent=True)
    with pytest.raises(httpx.ReadTimeout):
        await api.post("auth.test", timeout=httpx.Timeout(60, read=0.2))
    assert (await api.post("auth.test")).json()["ok"] is True


async def test_over_a_socket_events_are_acknowledged_and_commands_answered(slack: SlackWorld) -> None:
    headers = {"authorization": f"Bearer {APP_TOKEN}"}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{slack.api_url}apps.connections.open", headers=headers) as reply:
            url = (await reply.json())["url"]
        async with http.ws_connect(url) as socket:
            assert (await socket.receive_json())["type"] == "hello"
            slack.say("alice", "", "hello")
            event = await socket.receive_json()
            assert (event["type"], event["payload"]["event"]["text"]) == ("events_api", "hello")
            await socket.send_json({"envelope_id": event["envelope_id"]})
            await slack.idle()
            asked: asyncio.Task[Sent] = asyncio.create_task(slack.command("alice", "", "/it", "help"))
            command = await socket.receive_json()
            assert (command["type"], command["payload"]["command"]) == ("slash_commands", "/it")
            await socket.send_json({"envelope_id": command["envelope_id"], "payload": {"text": "Here I am"}})
            assert (await asked).is_taken
        assert [each.text for each in slack.only_for("alice")] == ["Here I am"]
        assert [each.is_taken for each in slack.standin.sender.sent] == [True, True]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(url)


async def test_faults_and_the_report_are_for_those_who_know_the_control_token(
    slack: SlackWorld, api: httpx.AsyncClient
) -> None:
    fault = {"method": "auth.test", "error": "account_inactive"}
    async with httpx.AsyncClient(base_url=slack.url, trust_env=False, timeout=60) as http:
        assert (await http.post("/_standin/faults", json=fault)).status_code == 404
        assert (await http.get("/_standin/report")).status_code == 404
        assert (await http.post("/_standin/faults", json=fault, headers=CONTROL)).status_code == 204
        assert (await api.post("auth.test")).json()["error"] == "account_inactive"
        await post(api, "<!here>")
        report = (await http.get("/_standin/report", headers=CONTROL)).json()
    assert [control for _, _, control in report["pings"]] == ["!here"]
    assert BOT_TOKEN not in str(report)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 200),
        ({"content-type": "text/plain"}, 403),
        ({"content-type": "application/json", "host": "elsewhere.example:8088"}, 403),
    ],
)
async def test_no_page_of_another_site_speaks_for_a_person(
    slack: SlackWorld, headers: dict[str, str], status: int
) -> None:
    body = f'{{"person": "alice", "channel": "{HELP}", "text": "hello"}}'
    async with httpx.AsyncClient(base_url=slack.url, trust_env=False, timeout=60) as http:
        reply = await http.post("/workspace/say", content=body, headers=headers)
    assert reply.status_code == status
    assert len(slack.messages(HELP)) == (1 if status == 200 else 0)
