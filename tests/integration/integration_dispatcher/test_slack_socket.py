"""Socket Mode: the same events without a public address, from a workspace that speaks Slack's socket protocol."""

import httpx
from pydantic import SecretStr

from tests.support.dispatcher import running
from tests.support.slack import APP_TOKEN, BOT_TOKEN, slack_world
from tests.support.slack_in import FakeManager, slack_settings
from tests.support.waiting import eventually


async def test_with_an_app_token_a_message_and_a_command_come_over_the_socket(database_url: str) -> None:
    manager = FakeManager()
    async with slack_world() as slack, httpx.AsyncClient(trust_env=False, timeout=60) as real:

        async def network(request: httpx.Request) -> httpx.Response | None:
            if not request.url.path.startswith("/api/v1/"):
                headers = {name: value for name, value in request.headers.items() if name != "host"}
                return await real.request(request.method, request.url, headers=headers, content=await request.aread())
            return await manager.take(request)

        given = slack_settings(
            database_url,
            slack_api_url=slack.api_url,
            slack_signing_secret=SecretStr(""),
            slack_bot_token=SecretStr(BOT_TOKEN),
            slack_app_token=SecretStr(APP_TOKEN),
        )
        async with running(given, network) as dispatcher:

            async def is_connected() -> bool:
                return slack.standin.sockets.is_used

            await eventually(is_connected)
            slack.say("alice", "", "hello over the socket")

            async def is_asked() -> bool:
                return manager.texts == ["hello over the socket"]

            await eventually(is_asked)
            await slack.command("alice", "#it-help", "/it", "a command")

            async def is_asked_again() -> bool:
                return manager.texts == ["hello over the socket", "a command"]

            await eventually(is_asked_again)
            await slack.idle()
            await dispatcher.idle()
