"""The webhook inbox itself: one receiver per person, what it got, and how it is told to answer."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from local_stack.state import write_private
from local_stack.webhook_inbox.signing import verdict

type Behaviour = Literal["ok", "503", "410", "429", "redirect", "hang"]

KEPT_PER_HOOK = 50
VERIFY_TYPE = "webhook.verify"
UNKNOWN_SECRET = "no secret known"  # noqa: S105  # words, no secret


class Received(BaseModel):
    """One call. `attempt` counts the calls with this `webhook-id`, from 1. `answered`: the status; 0: never."""

    at: datetime
    webhook_id: str
    attempt: int
    headers: dict[str, str]
    body: str
    signature: str
    answered: int
    note: str = ""


class Hook(BaseModel):
    """A person's receiver."""

    secret: str = ""
    behaviour: Behaviour = "ok"
    received: list[Received] = Field(default_factory=list)


class Kept(BaseModel):
    """What is on disk."""

    hooks: dict[str, Hook] = {}


@dataclass(frozen=True)
class Answer:
    """`status` 0: never answer."""

    status: int
    body: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class WebhookInbox:
    """`people`: whose receivers are shown from the beginning; any other name makes one when it is called.

    `url`: where callers reach it, shown on the page; empty: where the page is."""

    folder: Path
    people: Sequence[str] = ()
    url: str = ""
    clock: Callable[[], float] = time.time
    version: int = 0

    def __post_init__(self) -> None:
        self._file = self.folder / "webhooks.json"
        self.kept = Kept()
        if self._file.exists():
            self.kept = Kept.model_validate_json(self._file.read_bytes())
        for name in self.people:
            self.kept.hooks.setdefault(name, Hook())

    def take(self, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Keep a call, and say what to answer. A verification's challenge is sent back, so that it passes by itself."""
        hook = self.kept.hooks.setdefault(name, Hook())
        challenge = _challenge(body)
        answer = _answer(hook.behaviour, challenge)
        message_id = headers.get("webhook-id", "")
        is_echoed = bool(challenge) and answer.status == 200
        received = Received(
            at=datetime.fromtimestamp(self.clock(), UTC),
            webhook_id=message_id,
            attempt=1 + sum(each.webhook_id == message_id for each in hook.received),
            headers=dict(headers),
            body=body.decode(errors="replace"),
            signature=verdict(headers, body, hook.secret, self.clock()) if hook.secret else UNKNOWN_SECRET,
            answered=answer.status,
            note="its challenge was sent back: the address is proven" if is_echoed else "",
        )
        hook.received = [*hook.received, received][-KEPT_PER_HOOK:]
        self.save()
        return answer

    def save(self) -> None:
        self.version += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        write_private(self._file, self.kept.model_dump_json())


def _challenge(body: bytes) -> str:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(event, dict) or event.get("type") != VERIFY_TYPE or not isinstance(event.get("data"), dict):
        return ""
    return str(event["data"].get("challenge", ""))


def _answer(behaviour: Behaviour, challenge: str) -> Answer:
    match behaviour:
        case "ok":
            return Answer(200, {"challenge": challenge} if challenge else {})
        case "429":
            return Answer(429, headers={"retry-after": "30"})
        case "redirect":
            return Answer(302, headers={"location": "http://127.0.0.1:1/elsewhere"})
        case "hang":
            return Answer(0)
        case _:
            return Answer(int(behaviour))
