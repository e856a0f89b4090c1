"""The provider of SMS, as a port of three calls, in the shape of Twilio's API: send, what was sent, is the account well.

Source: https://www.twilio.com/docs/messaging/api/message-resource, https://www.twilio.com/docs/api/errors"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

from integration_dispatcher.domain.redaction import safe_words
from integration_dispatcher.domain.sms_callbacks import reason_of
from integration_dispatcher.handlers.base import DeliveryDelayed, DeliveryRejected, IntegrationPaused
from integration_dispatcher.settings_sms import SmsAccount

VERSION = "2010-04-01"
MAX_REPLY_BYTES = 256 * 1024
PAGE_SIZE = 50
MAX_PAGES = 10
STOPPED = 21610
RATE_CODES = frozenset({14107, 20429})
ACCOUNT_CODES = frozenset({20003, 20005, 20404})
NUMBER_CODES = frozenset({21211, 21214, 21217, 21401, 21614})


class StoppedByPhone(DeliveryRejected):
    """The person has texted STOP; the provider sends them nothing until they text START."""


@dataclass(frozen=True)
class SentSms:
    """One message as the provider knows it. `sid` is its name there."""

    sid: str
    status: str
    body: str
    created_at: datetime


class SmsProvider:
    """`http` belongs to the process. Every call has a time limit, and a limit for what is read of the reply."""

    def __init__(self, http: httpx.AsyncClient, account: SmsAccount) -> None:
        self._http = http
        self._account = account
        self._timeout_s = account.timeout_s
        self._url = f"{account.api_url}/{VERSION}/Accounts/{account.account_sid}"

    async def send(self, to: str, body: str, callback_url: str) -> SentSms:
        """`callback_url`: where the provider reports what became of it; empty: nowhere.

        Raises DeliveryDelayed, DeliveryRejected, StoppedByPhone, IntegrationPaused."""
        sender = self._account.sender
        form = {"To": to, "MessagingServiceSid" if sender.startswith("MG") else "From": sender, "Body": body}
        if callback_url:
            form["StatusCallback"] = callback_url
        return _sent(await self._call("POST", f"{self._url}/Messages.json", form))

    async def sent_to(self, to: str, since: datetime) -> list[SentSms]:
        """Everything sent to a number from the day of `since` on, the newest first. Raises as `send`."""
        query = urlencode({"To": to, "DateSent>": since.astimezone(UTC).date().isoformat(), "PageSize": PAGE_SIZE})
        url, found = f"{self._url}/Messages.json?{query}", list[SentSms]()
        for _ in range(MAX_PAGES):
            page = await self._call("GET", url)
            found += [_sent(each) for each in page.get("messages", []) if isinstance(each, dict)]
            following = page.get("next_page_uri")
            if not following:
                return found
            url = urljoin(url, str(following))
            if urlsplit(url)[:2] != urlsplit(self._url)[:2]:  # the credentials go nowhere else
                raise DeliveryDelayed("The SMS provider's list goes on at another host.")
        raise DeliveryDelayed("The SMS provider's list of messages is too long to look through.")

    async def check(self) -> None:
        """Raises DeliveryDelayed when the provider does not answer well, IntegrationPaused when it refuses the account."""
        await self._call("GET", f"{self._url}.json")

    async def _call(self, method: str, url: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._timeout_s), self._open(method, url, form) as reply:
                body = await _limited(reply)
                return read_reply(reply.status_code, body, reply.headers.get("retry-after", ""))
        except TimeoutError as exc:
            raise DeliveryDelayed(f"The SMS provider did not answer within {self._timeout_s:g} seconds.") from exc
        except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError) as exc:
            raise DeliveryDelayed("No connection to the SMS provider, or it broke.") from exc

    @asynccontextmanager
    async def _open(self, method: str, url: str, form: Mapping[str, str] | None) -> AsyncIterator[httpx.Response]:
        auth = httpx.BasicAuth(self._account.account_sid, self._account.auth_token)
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with self._http.stream(
            method, url, data=form, auth=auth, headers=headers, timeout=self._timeout_s, follow_redirects=False
        ) as reply:
            yield reply


def read_reply(status: int, body: bytes, retry_after: str) -> dict[str, Any]:
    """The JSON of a success. Raises DeliveryDelayed, DeliveryRejected, StoppedByPhone, IntegrationPaused."""
    said = _json(body)
    if 200 <= status < 300:
        if said is None:
            raise DeliveryDelayed("The SMS provider's reply cannot be read.", code=status, words=safe_words(body))
        return said
    raise refusal_of(status, said or {}, retry_after, safe_words(body))


def refusal_of(status: int, said: Mapping[str, Any], retry_after: str, raw: str) -> Exception:
    """What an error reply means: the number decides where there is one, else the HTTP status."""
    code = said.get("code") if isinstance(said.get("code"), int) else None
    words = safe_words(f"{code}: {said.get('message', '')}") if code else raw
    if status == 429 or code in RATE_CODES:
        wait_s = float(retry_after[:9]) if retry_after.isascii() and retry_after.isdigit() else None
        return DeliveryDelayed("The SMS provider asks to slow down.", code=status, words=words, retry_after_s=wait_s)
    if status in (401, 403, 404) or code in ACCOUNT_CODES:
        return IntegrationPaused("The SMS provider refuses our account.", code=status, words=words)
    if status >= 500 or status in (408, 425) or status < 400:
        return DeliveryDelayed(f"The SMS provider answered {status}.", code=status, words=words)
    if code == STOPPED:
        return StoppedByPhone(reason_of(code), code=status, words=words)
    if code in NUMBER_CODES:
        return DeliveryRejected(f"The SMS provider takes no such number ({code}).", code=status, words=words)
    return DeliveryRejected(f"The SMS provider refused the message ({code or status}).", code=status, words=words)


async def _limited(reply: httpx.Response) -> bytes:
    read = bytearray()
    async for chunk in reply.aiter_raw():
        read += chunk
        if len(read) > MAX_REPLY_BYTES:
            raise DeliveryDelayed("The SMS provider's reply is too large.", code=reply.status_code)
    return bytes(read)


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _sent(message: Mapping[str, Any]) -> SentSms:
    """Raises DeliveryDelayed for one without its name: it may have been sent, so it is looked up before the next try."""
    sid = message.get("sid")
    if not isinstance(sid, str) or not 1 <= len(sid) <= 64:
        raise DeliveryDelayed("The SMS provider's reply names no message.")
    return SentSms(sid, str(message.get("status", "")), str(message.get("body") or ""), _moment(message))


def _moment(message: Mapping[str, Any]) -> datetime:
    """When it was created (RFC 2822); the distant past where that cannot be read."""
    try:
        at = parsedate_to_datetime(str(message.get("date_created")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
