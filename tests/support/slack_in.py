"""The dispatcher with Slack set up, between a Slack that signs and a request-manager that notes what is asked."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid5

import httpx
from integration_dispatcher.settings import Settings
from pydantic import SecretStr
from shared_models.api import RequestAccepted, ResolveBody, SlackRequest, UserView
from shared_models.enums import RequestStatus
from shared_models.ids import new_id

from tests.support.dispatcher import Dispatcher, running, settings
from tests.support.fake_slack import FakeSlack
from tests.support.slack import patience
from tests.support.slack_signing import sign

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TEAM, BOT, DIRECT, CHANNEL = "T1", "UBOT", "D1", "C1"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
SPACE = UUID(int=7)

type Json = dict[str, Any]

_counter = itertools.count(1)


def slack_settings(database_url: str, **changes: Any) -> Settings:
    slack = {
        "slack_bot_token": SecretStr("xoxb-test"),
        "slack_signing_secret": SecretStr(SECRET),
        "slack_api_url": "https://slack.test/api/",
        "slack_post_every_s": 0.0,
    }
    return settings(database_url, **slack | changes)


def ts_of(number: int) -> str:
    return f"1700000000.{number:06d}"


def message(text: str, *, channel: str = DIRECT, user: str = "U1", ts: str = "", **more: Any) -> Json:
    """The body of an event about a message; `type` app_mention for a mention."""
    ts = ts or ts_of(next(_counter))
    kind = "im" if channel.startswith("D") else "channel"
    inner = {"type": "message", "channel": channel, "channel_type": kind, "user": user, "text": text, "ts": ts, **more}
    return envelope(inner)


def envelope(inner: Json) -> Json:
    authorization = {"enterprise_id": None, "team_id": TEAM, "user_id": BOT, "is_bot": True}
    return {
        "token": "old",
        "team_id": TEAM,
        "api_app_id": "A1",
        "event": inner,
        "type": "event_callback",
        "event_id": f"Ev{next(_counter)}",
        "event_time": 1_700_000_000,
        "authorizations": [authorization],
    }


def member(email: str, *, team: str = TEAM, **changes: Any) -> Json:
    profile = {"email": email, "real_name": email.partition("@")[0].title()}
    return {
        "team_id": team,
        "profile": profile,
        "is_email_confirmed": True,
        "is_bot": False,
        "deleted": False,
    } | changes


@dataclass
class FakeManager:
    """Notes each new request. `faults` answer first. `gate`: while it is closed, requests wait there, counted in `waiting`."""

    asked: list[SlackRequest] = field(default_factory=list)
    keys: dict[str, UUID] = field(default_factory=dict)
    resolved: list[ResolveBody] = field(default_factory=list)
    faults: list[httpx.Response] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def is_asked(self) -> bool:
        return self.waiting > 0

    async def take(self, request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/api/v1/users/resolve":
            body = ResolveBody.model_validate_json(request.content)
            self.resolved.append(body)
            view = UserView(user_id=user_id(body.email or ""), email=body.email or "", name=body.name)
            return httpx.Response(200, content=view.model_dump_json())
        if request.url.path != "/api/v1/requests/slack":
            return None
        if self.faults:
            return self.faults.pop(0)
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        key = request.headers["idempotency-key"]
        if key not in self.keys:
            self.keys[key] = new_id()
            self.asked.append(SlackRequest.model_validate_json(request.content))
        accepted = RequestAccepted(request_id=self.keys[key], session_id=new_id(), status=RequestStatus.ACCEPTED)
        return httpx.Response(202, content=accepted.model_dump_json())

    @property
    def texts(self) -> list[str]:
        return [each.content for each in self.asked]


def user_id(email: str) -> UUID:
    return uuid5(SPACE, email)


@dataclass
class SlackIn:
    dispatcher: Dispatcher
    slack: FakeSlack
    manager: FakeManager

    async def event(self, body: Json, **given: Any) -> httpx.Response:
        return await self.post("/slack/events", json.dumps(body).encode(), JSON, **given)

    async def command(self, text: str = "", **fields: str) -> httpx.Response:
        form = {
            "command": "/it",
            "text": text,
            "team_id": TEAM,
            "user_id": "U1",
            "channel_id": CHANNEL,
            "trigger_id": f"{next(_counter)}.1.a",
        }
        return await self.post("/slack/commands", urlencode(form | fields).encode(), FORM)

    async def interaction(self, payload: Json) -> httpx.Response:
        return await self.post("/slack/interactive", urlencode({"payload": json.dumps(payload)}).encode(), FORM)

    async def post(
        self, path: str, body: bytes, content_type: str, *, at: float | None = None, headers: Json | None = None
    ) -> httpx.Response:
        signed = sign(body, secret=SECRET, at=at) | (headers or {}) | {"content-type": content_type}
        return await self.dispatcher.http.post(path, content=body, headers=signed)

    async def rows(self) -> list[Json]:
        rows = await self.dispatcher.parts.database.fetch("select * from inbound_events order by id")
        return [dict(row) for row in rows]

    async def states(self) -> list[str]:
        return [row["state"] for row in await self.rows()]


@asynccontextmanager
async def slack_in(given: Settings) -> AsyncIterator[SlackIn]:
    slack, manager = FakeSlack(), FakeManager()
    slack.members = {"U1": member("ana@example.com"), "U2": member("ben@example.com")}

    async def network(request: httpx.Request) -> httpx.Response | None:
        if request.url.host == "slack.test":
            return slack.take(request)
        return await manager.take(request)

    with patience():
        async with running(given, network) as dispatcher:
            yield SlackIn(dispatcher, slack, manager)
