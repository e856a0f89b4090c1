"""Slack's Web API: one call, with a bounded time and size, and what came of it. Source: https://docs.slack.dev/apis/web-api"""

import asyncio
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import httpx
import orjson
from pydantic import SecretStr
from shared_models.database import Database

from integration_dispatcher.settings_slack import SlackSettings
from integration_dispatcher.slack_pace import SlackBusy, SlackPace

MAX_REPLY_BYTES = 4 * 1024 * 1024
CONNECT_TIMEOUT_S = 5.0
DEFAULT_RETRY_AFTER_S = 30.0
MAX_RETRY_AFTER_S = 3600.0
TOO_MANY = 429

type Json = dict[str, Any]

_APIS: "WeakKeyDictionary[Database, SlackApi]" = WeakKeyDictionary()


def slack_api(settings: SlackSettings, http: httpx.AsyncClient, database: Database) -> "SlackApi":
    """The same one for all of a process: they share one pace."""
    if database not in _APIS:
        pace = SlackPace(database, post_every_s=settings.slack_post_every_s)
        url, timeout_s = settings.slack_api_url, settings.slack_timeout_s
        _APIS[database] = SlackApi(http, url, settings.slack_bot_token, pace, timeout_s=timeout_s)
    return _APIS[database]


class SlackSilent(Exception):
    """No usable answer. `may_have_worked`: the call may have reached Slack and done its work."""

    def __init__(self, reason: str, *, may_have_worked: bool, code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.may_have_worked = may_have_worked
        self.code = code


class SlackRefused(Exception):
    """Slack answered `ok: false`. `error` is its word; `words` say it with what else Slack added."""

    def __init__(self, method: str, reply: Json) -> None:
        self.error = str(reply.get("error") or "unknown_error")[:100]
        self.needed = str(reply.get("needed") or "")[:200]
        notes = (reply.get("response_metadata") or {}).get("messages") or []
        self.words = " ".join([self.error, self.needed, *map(str, notes)]).strip()[:500]
        super().__init__(f"{method}: {self.words}")


class SlackApi:
    """Built once. `base_url` ends where the method's name begins; `token` is the bot's."""

    def __init__(
        self, http: httpx.AsyncClient, base_url: str, token: SecretStr, pace: SlackPace, *, timeout_s: float
    ) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/") + "/"
        self._token = token
        self._pace = pace
        self._timeout_s = timeout_s

    async def call(self, method: str, arguments: Mapping[str, Any], *, channel: str = "") -> Json:
        """Return Slack's reply. `channel`: the call posts there, one per second.

        Raises SlackBusy (not called, or answered 429), SlackSilent, SlackRefused."""
        async with self._pace.turn(method, channel):
            try:
                async with asyncio.timeout(self._timeout_s):
                    reply, body = await self._exchange(method, arguments)
            except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
                raise SlackSilent("No connection to Slack.", may_have_worked=False) from exc
            except (TimeoutError, httpx.TransportError, httpx.DecodingError) as exc:
                raise SlackSilent("Slack did not answer in time, or not whole.", may_have_worked=True) from exc
            if reply.status_code == TOO_MANY:
                retry_after_s = _seconds(reply.headers.get("retry-after", ""))
                await self._pace.close(method, retry_after_s)
                raise SlackBusy(method, retry_after_s, was_called=True)
        return _read(method, reply.status_code, body)

    async def _exchange(self, method: str, arguments: Mapping[str, Any]) -> tuple[httpx.Response, bytes]:
        """Every method takes a form, with JSON in the fields that have structure."""
        form = {name: _field(value) for name, value in arguments.items() if value not in ("", None)}
        headers = {"authorization": f"Bearer {self._token.get_secret_value()}"}
        timeout = httpx.Timeout(self._timeout_s, connect=min(self._timeout_s, CONNECT_TIMEOUT_S))
        url = self._base_url + method
        async with self._http.stream("POST", url, data=form, headers=headers, timeout=timeout) as reply:
            body = bytearray()
            async for chunk in reply.aiter_bytes():
                body += chunk
                if len(body) > MAX_REPLY_BYTES:
                    raise SlackSilent("Slack's answer is too large.", may_have_worked=True)
            return reply, bytes(body)


def _field(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _read(method: str, status: int, body: bytes) -> Json:
    if status != httpx.codes.OK:
        raise SlackSilent(f"Slack answered {status}.", may_have_worked=status >= 500, code=status)
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise SlackSilent("Slack's answer is no JSON.", may_have_worked=True, code=status) from exc
    if not isinstance(reply, dict):
        raise SlackSilent("Slack's answer is no JSON object.", may_have_worked=True, code=status)
    if reply.get("ok") is not True:
        raise SlackRefused(method, reply)
    return reply


def _seconds(retry_after: str) -> float:
    """Slack gives whole seconds."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after[:9]), MAX_RETRY_AFTER_S)
    return DEFAULT_RETRY_AFTER_S


def text_at(reply: Json, *names: str) -> str:
    """A text inside a reply. Raises SlackSilent when it is not there."""
    value: Any = reply
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise SlackSilent(f"Slack's answer lacks {'.'.join(names)}.", may_have_worked=True)
    return value
