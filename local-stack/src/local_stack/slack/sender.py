"""How Slack reaches the app: signed requests with its time limit and its retries, or the sockets of Socket Mode.

Source: https://docs.slack.dev/authentication/verifying-requests-from-slack and https://docs.slack.dev/apis/events-api"""

import asyncio
import hashlib
import hmac
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

from local_stack.slack.records import Json
from local_stack.slack.settings import SlackStandinSettings
from local_stack.slack.sockets import Sockets

USER_AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"
JSON_TYPE, FORM_TYPE = "application/json", "application/x-www-form-urlencoded"
MOST_REMEMBERED = 5000
PATHS = {"events_api": "events", "slash_commands": "commands", "interactive": "interactive"}


@dataclass(frozen=True)
class Sent:
    """One try. `status` 0: no answer, and `reason` says why; `took_s` until the answer was there."""

    kind: str
    key: str
    retry_num: int
    status: int
    took_s: float
    reason: str = ""
    body: bytes = b""
    is_final: bool = False

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The answer; None when it is empty or no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of X-Slack-Signature for these raw bytes."""
    digest = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256)
    return f"v0={digest.hexdigest()}"


@dataclass
class Sender:
    """`http` ends at the app. `sent`: every try, oldest first."""

    settings: SlackStandinSettings
    http: httpx.AsyncClient
    sockets: Sockets
    now: Callable[[], float]
    sent: deque[Sent] = field(default_factory=lambda: deque(maxlen=MOST_REMEMBERED))
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def begin_event(self, payload: Json) -> None:
        """Send it beside everything else, again and again as Slack does until it is taken."""
        task = asyncio.create_task(self.event(payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def idle(self) -> None:
        """Return when no event is under way."""
        while under_way := [task for task in self._tasks if not task.done()]:
            await asyncio.wait(under_way)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def event(self, payload: Json) -> None:
        body, reason = json.dumps(payload).encode(), ""
        for retry_num, wait_s in enumerate((0.0, *self.settings.retry_after_s)):
            await asyncio.sleep(wait_s)
            headers = {"x-slack-retry-num": str(retry_num), "x-slack-retry-reason": reason} if retry_num else {}
            sent = await self._send("events_api", payload, body, headers, key=payload["event_id"])
            if sent.is_taken or sent.is_final:
                return
            reason = sent.reason

    async def command(self, form: dict[str, str]) -> Sent:
        """Once: Slack tells the person when the app fails."""
        return await self._send("slash_commands", form, urlencode(form).encode(), {}, key=form["command"])

    async def interactive(self, payload: Json) -> Sent:
        """Once, too."""
        body = urlencode({"payload": json.dumps(payload)}).encode()
        return await self._send("interactive", payload, body, {}, key=payload["type"])

    async def raw(self, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Any request to the app as it is, for forged and broken ones."""
        url = f"{self.settings.app_url.rstrip('/')}/slack/{path}"
        return await self.http.post(url, content=body, headers=headers, timeout=self.settings.ack_within_s)

    def signed_headers(self, body: bytes, content_type: str = JSON_TYPE, at_s: float | None = None) -> dict[str, str]:
        timestamp = str(int(self.now() if at_s is None else at_s))
        return {
            "content-type": content_type,
            "user-agent": USER_AGENT,
            "x-slack-request-timestamp": timestamp,
            "x-slack-signature": sign(self.settings.signing_secret.get_secret_value(), timestamp, body),
        }

    async def _send(self, kind: str, payload: Json, body: bytes, headers: dict[str, str], *, key: str) -> Sent:
        began_s = time.monotonic()
        retry_num = int(headers.get("x-slack-retry-num", "0"))
        if self.sockets.is_used:
            retry = {"retry_attempt": retry_num, "retry_reason": headers.get("x-slack-retry-reason", "")}
            answer = await self.sockets.send(kind, payload, retry, within_s=self.settings.ack_within_s)
            status, reason = (0, "timeout") if answer is None else (200, "")
            text = json.dumps(answer).encode() if answer else b""
            sent = Sent(kind, key, retry_num, status, time.monotonic() - began_s, reason, text)
        else:
            content_type = JSON_TYPE if kind == "events_api" else FORM_TYPE
            signed = self.signed_headers(body, content_type) | headers
            status, reason, text, is_final = await self._post(PATHS[kind], body, signed)
            sent = Sent(kind, key, retry_num, status, time.monotonic() - began_s, reason, text, is_final)
        self.sent.append(sent)
        return sent

    async def _post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes, bool]:
        """Status, Slack's word for a failure, the answer, and whether the app wants no further try."""
        try:
            async with asyncio.timeout(self.settings.ack_within_s):
                reply = await self.raw(path, body, headers)
        except (TimeoutError, httpx.TimeoutException):
            return 0, "http_timeout", b"", False
        except httpx.TransportError:
            return 0, "connection_failed", b"", False
        is_final = reply.headers.get("x-slack-no-retry") == "1"
        return reply.status_code, "" if reply.is_success else "http_error", reply.content, is_final
