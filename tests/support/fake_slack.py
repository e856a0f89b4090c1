"""The few methods of Slack's Web API that deliveries use, in memory: for tests that look at single calls."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
from integration_dispatcher.slack_api import SlackApi
from integration_dispatcher.slack_pace import SlackPace
from pydantic import SecretStr
from shared_models.database import Database

type Json = dict[str, Any]
type Fault = Callable[[Json], httpx.Response | None]

STRUCTURED = ("blocks", "metadata", "view")


@dataclass
class FakeSlack:
    """`calls`: (method, arguments) in order. `faults`: per method, used up first; one that returns None lets the call work
    and then drops its answer."""

    calls: list[tuple[str, Json]] = field(default_factory=list)
    messages: list[Json] = field(default_factory=list)
    users: dict[str, str] = field(default_factory=lambda: {"ana@example.com": "U1"})
    members: dict[str, Json] = field(default_factory=dict)
    reactions: set[tuple[str, str, str]] = field(default_factory=set)
    faults: dict[str, list[Fault]] = field(default_factory=dict)

    def api(self, *, timeout_s: float = 60.0) -> SlackApi:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.take))
        database = Database("postgresql://nobody@127.0.0.1:1/none")
        pace = SlackPace(database, post_every_s=0)
        return SlackApi(http, "https://slack.test/api/", SecretStr("xoxb-test"), pace, timeout_s=timeout_s)

    def take(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer xoxb-test"
        method = request.url.path.removeprefix("/api/")
        arguments: Json = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        arguments |= {name: json.loads(arguments[name]) for name in STRUCTURED if name in arguments}
        self.calls.append((method, arguments))
        queue = self.faults.get(method)
        fault = queue.pop(0) if queue else None
        if fault is None:
            return self._work(method, arguments)
        answer = fault(arguments)
        if answer is None:
            self._work(method, arguments)
            raise httpx.ReadError("the connection broke")
        return answer

    def called(self, method: str) -> list[Json]:
        return [arguments for name, arguments in self.calls if name == method]

    def _work(self, method: str, arguments: Json) -> httpx.Response:
        match method:
            case "chat.postMessage":
                ts = f"{1_700_000_000 + len(self.messages)}.000100"
                self.messages.append({**arguments, "ts": ts})
                return ok(channel=arguments["channel"], ts=ts)
            case "users.lookupByEmail":
                user = self.users.get(arguments["email"])
                return ok(user={"id": user}) if user else refused("users_not_found")
            case "users.info":
                member = self.members.get(arguments["user"])
                return ok(user=member) if member else refused("user_not_found")
            case "reactions.add" | "reactions.remove":
                reaction = (arguments["channel"], arguments["timestamp"], arguments["name"])
                change = self.reactions.add if method == "reactions.add" else self.reactions.discard
                change(reaction)
                return ok()
            case "chat.postEphemeral":
                self.messages.append({**arguments, "ts": "", "is_ephemeral": True})
                return ok(message_ts="1700000000.000100")
            case "conversations.open":
                return ok(channel={"id": "D" + arguments["users"]})
            case "conversations.replies":
                found = [each for each in self.messages if each.get("thread_ts") == arguments["ts"]]
                return ok(messages=found if arguments.get("include_all_metadata") == "true" else [])
            case "conversations.history":
                found = [each for each in self.messages if each["channel"] == arguments["channel"]]
                return ok(messages=found if arguments.get("include_all_metadata") == "true" else [])
            case _:
                return ok()


def ok(**fields: Any) -> httpx.Response:
    return httpx.Response(200, json={"ok": True, **fields})


def refused(error: str, **fields: Any) -> httpx.Response:
    return httpx.Response(200, json={"ok": False, "error": error, **fields})


def refuses(error: str, **fields: Any) -> Fault:
    return lambda _arguments: refused(error, **fields)


def drops_the_answer(_arguments: Json) -> httpx.Response | None:
    return None


def limits(retry_after_s: int) -> Fault:
    body = {"ok": False, "error": "ratelimited"}
    return lambda _arguments: httpx.Response(429, json=body, headers={"retry-after": str(retry_after_s)})
