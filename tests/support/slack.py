"""A Slack workspace for tests: the stand-in on a real port, which speaks to an app as Slack does, with its real rules."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from integration_dispatcher import slack_door
from integration_dispatcher.inbound import slack_progress
from local_stack.slack.actions import find_action
from local_stack.slack.actions import labels as labels_of
from local_stack.slack.app import create_app
from local_stack.slack.faults import Fault
from local_stack.slack.members import BOT_USER_ID, TEAM_ID
from local_stack.slack.records import Message, View
from local_stack.slack.sender import Sent
from local_stack.slack.settings import SlackStandinSettings
from local_stack.slack.standin import MENTION, ApiCall, Standin
from pydantic import SecretStr

from tests.support.servers import free_socket, serving
from tests.support.waiting import eventually

SIGNING_SECRET = "a-signing-secret-of-the-tests"
BOT_TOKEN = "xoxb-a-bot-token-of-the-tests"
APP_TOKEN = "xapp-an-app-token-of-the-tests"
LONG_S = 60.0
# Slack's three seconds are the stand-in's own tests' matter; in others a stalled machine must not make an event come twice.
PATIENT = {"ack_within_s": LONG_S, "trigger_s": LONG_S}

__all__ = ["APP_TOKEN", "BOT_TOKEN", "BOT_USER_ID", "MENTION", "SIGNING_SECRET", "TEAM_ID", "Fault", "SlackWorld"]


@dataclass
class SlackWorld:
    """A workspace and what its people do. People go by user name ("alice"), channels by "#it-help", "" is the DM with the app.

    `api_url`: what the app's SLACK_API_URL is to be. All that Slack would count against the app is in `violations`
    (calls inside a Retry-After window), `pings` and `truncated`."""

    standin: Standin
    url: str

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    def settings(self) -> dict[str, Any]:
        """What integration-dispatcher must be told to be this workspace's app."""
        return {
            "slack_signing_secret": SecretStr(SIGNING_SECRET),
            "slack_bot_token": SecretStr(BOT_TOKEN),
            "slack_api_url": self.api_url,
        }

    def say(self, who: str, where: str, text: str, thread: str = "", **more: Any) -> str:
        """Return the `ts`. The text is as Slack sends it: put MENTION into it to call the app."""
        return self.standin.say(who, where, text, thread=thread, **more).ts

    async def press(self, who: str, message: Message, key: str, value: str = "") -> Sent:
        """`key`: the action id, value or words of a button; `value`: the option of a menu."""
        action = find_action(message.blocks, key, value)
        return await self.standin.press(who, message.channel, message.ts, action)

    async def command(self, who: str, where: str, command: str, text: str = "") -> Sent:
        return await self.standin.command(who, where, command, text)

    def channel_id(self, who: str, where: str = "") -> str:
        workspace = self.standin.workspace
        return workspace.channel(where or workspace.member(who).id).id

    def user_id(self, who: str) -> str:
        return self.standin.workspace.member(who).id

    def messages(self, where: str, *, by_app: bool | None = None) -> list[Message]:
        """What stands in a channel ("#it-help") or in a person's DM ("alice"), oldest first, replies included."""
        workspace = self.standin.workspace
        channel = workspace.channel(where if where.startswith("#") else workspace.member(where).id)
        return [each for each in workspace.messages[channel.id] if by_app in (None, each.is_bot)]

    def only_for(self, who: str) -> list[Message]:
        """The ephemeral messages that this person got."""
        return [each for each in self.standin.workspace.ephemeral if each.only_for == self.user_id(who)]

    async def answers(self, where: str, count: int = 1) -> list[Message]:
        """Wait until the app has written so often there; return what it wrote."""

        async def enough() -> list[Message]:
            found = self.messages(where, by_app=True)
            return found if len(found) >= count else []

        return await eventually(enough)

    def view(self, who: str) -> View | None:
        """The modal that this person sees."""
        return self.standin.workspace.open_view(self.user_id(who))

    def calls(self, method: str = "") -> list[ApiCall]:
        return [each for each in self.standin.calls if method in ("", each.method)]

    def fault(self, **fault: Any) -> None:
        """See `local_stack.slack.faults.Fault`."""
        self.standin.faults.add(Fault(**fault))

    @property
    def violations(self) -> list[tuple[str, str]]:
        return self.standin.limits.violations

    @property
    def pings(self) -> list[tuple[str, str, str]]:
        return self.standin.workspace.pings

    @property
    def truncated(self) -> list[tuple[str, str]]:
        return self.standin.workspace.truncated

    async def idle(self) -> None:
        """Return when Slack has nothing more to send."""
        await self.standin.sender.idle()


@contextmanager
def patience() -> Iterator[None]:
    """What integration-dispatcher hurries to do for Slack's three seconds may take long: a stalled machine changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slack_door, "RECORD_WITHIN_S", LONG_S)
        patch.setattr(slack_progress, "BEGUN_WITHIN_S", LONG_S)
        yield


def labels(message: Message) -> list[str]:
    """The words on what can be pressed in a message."""
    return labels_of(message.blocks)


@asynccontextmanager
async def slack_world(
    app_url: str = "http://app.test",
    *,
    http: httpx.AsyncClient | None = None,
    folder: Path | None = None,
    clock: Any = None,
    **changes: Any,
) -> AsyncIterator[SlackWorld]:
    """Serve a workspace whose app is at `app_url`, called with `http` (an ASGITransport, or one of our own).

    `changes`: settings of the stand-in, for example `retry_after_s=(0.0, 0.05)` or `post_every_s=0.0`. `clock`: a
    Clock that both of its clocks read."""
    sock, url = free_socket()
    settings = SlackStandinSettings(
        **{
            "signing_secret": SecretStr(SIGNING_SECRET),
            "bot_token": SecretStr(BOT_TOKEN),
            "app_token": SecretStr(APP_TOKEN),
            "app_url": app_url,
            "public_url": url,
            **PATIENT,
            **changes,
        }
    )
    clocks = {} if clock is None else {"now": clock, "clock": clock}
    async with httpx.AsyncClient(trust_env=False) as own:
        standin = Standin(settings, http or own, folder, **clocks)
        async with serving(create_app(standin), sock):
            yield SlackWorld(standin, url)
