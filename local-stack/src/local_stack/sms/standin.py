"""The SMS stand-in itself: phones, messages to and from them, who said STOP, and the reports on what became of a message."""

import asyncio
import html
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, Field

from local_stack.faults import Faults
from local_stack.servicenow.faults import Fault
from local_stack.sms import callbacks
from local_stack.sms.faults import Reports
from local_stack.sms.rules import START_WORDS, STOP_WORDS, ApiError, check_message, reply_to
from local_stack.sms.settings import SmsStandinSettings
from local_stack.state import write_private

MAX_MESSAGES = 1000
UNREACHABLE = 30003
_TWIML_MESSAGE = re.compile(r"<Message[^>]*>(.*?)</Message>", re.DOTALL)


def _now() -> datetime:
    return datetime.now(UTC)


class Sms(BaseModel):
    """One message. `direction`: outbound-api and outbound-reply go to the phone, inbound comes from it."""

    sid: str
    phone: str
    body: str
    direction: str = "outbound-api"
    status: str = "queued"
    error_code: int | None = None
    callback_url: str = ""
    created_at: datetime = Field(default_factory=_now)


class Kept(BaseModel):
    """What is on disk."""

    messages: list[Sms] = []
    stopped: list[str] = []
    switched_off: list[str] = []


@dataclass(frozen=True)
class Held:
    status: str
    url: str
    form: dict[str, str]


@dataclass
class SmsStandin:
    """`people` are the names of phones that are shown from the beginning."""

    settings: SmsStandinSettings
    http: httpx.AsyncClient
    folder: Path
    people: Mapping[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    faults: Faults[Fault] = field(default_factory=Faults)
    reports: Reports = field(default_factory=Reports)
    held: list[Held] = field(default_factory=list)
    version: int = 0

    def __post_init__(self) -> None:
        self._file = self.folder / "sms.json"
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken: dict[str, deque[float]] = {}
        self.kept = Kept()
        if self._file.exists():
            self.kept = Kept.model_validate_json(self._file.read_bytes())

    def to(self, phone: str) -> list[Sms]:
        """What this phone shows of us, the oldest first."""
        return [each for each in self.kept.messages if each.phone == phone and each.direction != "inbound"]

    def send(self, form: Mapping[str, str]) -> Sms:
        """Take a message of the customer. Raises ApiError."""
        check_message(form, self.settings.number)
        phone = form["To"]
        if phone in self.kept.stopped:
            raise ApiError(400, 21610, "Attempt to send to unsubscribed recipient")
        self._check_pace(phone)
        sms = self._add(Sms(sid=new_sid(), phone=phone, body=form["Body"], callback_url=form.get("StatusCallback", "")))
        self._later(self._go(sms))
        return sms

    def _check_pace(self, phone: str) -> None:
        now, taken = self.clock(), self._taken.setdefault(phone, deque())
        while taken and taken[0] <= now - 60:
            taken.popleft()
        if len(taken) >= self.settings.max_per_minute:
            raise ApiError(429, 20429, "Too Many Requests", retry_after_s=max(1, round(taken[0] + 60 - now)))
        taken.append(now)

    async def _go(self, sms: Sms) -> None:
        is_off = sms.phone in self.kept.switched_off
        for status in self.reports.statuses or ["sent", "undelivered" if is_off else "delivered"]:
            await asyncio.sleep(self.settings.report_every_s)
            sms.status = status
            sms.error_code = UNREACHABLE if status in ("undelivered", "failed") else None
            self._save()
            await self._tell(sms)

    async def _tell(self, sms: Sms) -> None:
        if not sms.callback_url:
            return
        form = {
            "MessageSid": sms.sid,
            "SmsSid": sms.sid,
            "AccountSid": self.settings.account_sid,
            "From": self.settings.number,
            "To": sms.phone,
            "MessageStatus": sms.status,
            "SmsStatus": sms.status,
            "ApiVersion": "2010-04-01",
        } | ({"ErrorCode": str(sms.error_code)} if sms.error_code else {})
        report = Held(sms.status, sms.callback_url, form)
        if self.reports.are_held:
            self.held.append(report)
            return
        for _ in range(self.reports.copies):
            await self.call(report.url, report.form)

    async def release(self, *statuses: str) -> list[int]:
        """Send the held reports of these states in this order. Returns what was answered; 0: nothing."""
        chosen = [next(each for each in self.held if each.status == status) for status in statuses]
        replies = [await self.call(each.url, each.form) for each in chosen]
        return [reply.status_code if reply else 0 for reply in replies]

    async def text(self, phone: str, body: str) -> None:
        """A person writes from a phone. The provider acts on STOP and START itself, and tells the customer of all."""
        sms = self._add(Sms(sid=new_sid(), phone=phone, body=body, direction="inbound", status="received"))
        word = body.strip().lower()
        if word in STOP_WORDS and phone not in self.kept.stopped:
            self.kept.stopped.append(phone)
        if word in START_WORDS and phone in self.kept.stopped:
            self.kept.stopped.remove(phone)
        own = reply_to(body)
        if own:
            self._reply(phone, own)
        form = {
            "MessageSid": sms.sid,
            "AccountSid": self.settings.account_sid,
            "From": phone,
            "To": self.settings.number,
            "Body": body,
            "NumMedia": "0",
        }
        said = await self.call(self.settings.inbound_url, form) if self.settings.inbound_url else None
        if said is not None and said.is_success and phone not in self.kept.stopped:
            for message in _TWIML_MESSAGE.findall(said.text):
                self._reply(phone, html.unescape(message))

    def switch(self, phone: str, *, is_on: bool) -> None:
        """A phone that is off gets nothing: what is sent to it ends as undelivered."""
        off = self.kept.switched_off
        self.kept.switched_off = [each for each in off if each != phone] + ([] if is_on else [phone])
        self._save()

    async def call(self, url: str, form: Mapping[str, str]) -> httpx.Response | None:
        return await callbacks.post(self.http, url, form, self.settings.auth_token.get_secret_value())

    async def idle(self) -> None:
        """Returns when every message has come to its end and was reported."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _reply(self, phone: str, body: str) -> None:
        self._add(Sms(sid=new_sid(), phone=phone, body=body, direction="outbound-reply", status="delivered"))

    def _add(self, sms: Sms) -> Sms:
        self.kept.messages = [*self.kept.messages, sms][-MAX_MESSAGES:]
        self._save()
        return sms

    def _save(self) -> None:
        self.version += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        write_private(self._file, self.kept.model_dump_json())

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def new_sid() -> str:
    return "SM" + secrets.token_hex(16)
