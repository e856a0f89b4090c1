"""The workspace itself: who is in it, what was said, and who is told of a change. Kept in a file between runs."""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local_stack.slack.errors import Refused
from local_stack.slack.members import BOT_USER_ID, Member, new_id, shipped_members
from local_stack.slack.pings import pings_in
from local_stack.slack.records import Channel, Json, Message, ResponseUrl, Status, Trigger, View

FILE = "workspace.json"
MOST_MESSAGES = 2000  # per channel; the oldest are forgotten
MOST_EPHEMERAL = 200
STATUS_LASTS_S = 120.0
CHANNELS = (("general", "Company-wide announcements"), ("it-help", "Ask IT"))

type Change = tuple[str, Json]  # what changed, and the data that a browser needs to show it


@dataclass
class Workspace:
    """`now`: wall clock in seconds. `pings`: (channel, ts, control) of the app's messages that would call somebody.

    `truncated`: channel and ts of the app's messages that lost characters to Slack's limit."""

    now: Callable[[], float]
    folder: Path | None = None
    members: dict[str, Member] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    messages: dict[str, list[Message]] = field(default_factory=dict)
    ephemeral: list[Message] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    response_urls: dict[str, ResponseUrl] = field(default_factory=dict)
    statuses: dict[tuple[str, str], Status] = field(default_factory=dict)
    pings: list[tuple[str, str, str]] = field(default_factory=list)
    truncated: list[tuple[str, str]] = field(default_factory=list)
    _last_micros: int = 0
    _is_changed: bool = False
    _listeners: dict[asyncio.Queue[Change], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.members = {each.id: each for each in shipped_members()}
        active = [each.id for each in self.members.values() if each.is_active]
        for name, _ in CHANNELS:
            self._add_channel(Channel(new_id("C", name), name, "channel", list(active)))
        for each in self.members.values():
            if not each.is_bot:
                self._add_channel(Channel(new_id("D", each.user_name), "", "im", [each.id, BOT_USER_ID], each.id))
        self._load()

    def _add_channel(self, channel: Channel) -> None:
        self.channels[channel.id] = channel
        self.messages[channel.id] = []

    def member(self, key: str) -> Member:
        """By id, user name or e-mail address. Raises Refused: user_not_found."""
        for each in self.members.values():
            if key and key in (each.id, each.user_name, each.email):
                return each
        raise Refused("user_not_found")

    def channel(self, key: str) -> Channel:
        """By id or #name; a person's id is the direct message with the app. Raises Refused: channel_not_found."""
        for each in self.channels.values():
            if key and key in (each.id, each.user or each.name, f"#{each.name}"):
                return each
        raise Refused("channel_not_found")

    def direct(self, member: Member) -> Channel:
        return self.channel(member.id)

    def new_ts(self) -> str:
        """A time that no other message has: Slack's key of a message within its channel."""
        self._last_micros = max(self._last_micros + 1, int(self.now() * 1_000_000))
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    def find(self, channel_id: str, ts: str) -> Message:
        """Raises Refused: message_not_found."""
        found = next((each for each in self.messages.get(channel_id, []) if each.ts == ts), None)
        if found is None:
            raise Refused("message_not_found")
        return found

    def thread(self, channel_id: str, ts: str) -> list[Message]:
        """The message and its replies, oldest first. Raises Refused: thread_not_found."""
        found = [each for each in self.messages.get(channel_id, []) if ts in (each.ts, each.thread_ts)]
        if not found or found[0].is_reply:
            raise Refused("thread_not_found")
        return found

    def add(self, message: Message) -> Message:
        """Post. A reply makes the message above it a thread; a thread's status ends when the app speaks."""
        kept = self.messages[message.channel]
        kept.append(message)
        del kept[:-MOST_MESSAGES]
        if message.is_reply:
            above = self.find(message.channel, message.thread_ts)
            above.thread_ts = above.ts
            self.tell("message", self.shown(above), channel=message.channel)
        if message.is_bot:
            self.note_pings(message)
            self._end_statuses(message)
        self.tell("message", self.shown(message), channel=message.channel)
        return message

    def add_ephemeral(self, message: Message) -> Message:
        self.ephemeral.append(message)
        del self.ephemeral[:-MOST_EPHEMERAL]
        if message.is_bot:
            self.note_pings(message)
        self.tell("message", self.shown(message), user=message.only_for)
        return message

    def note_pings(self, message: Message) -> None:
        self.pings += [(message.channel, message.ts, each) for each in pings_in(message.text, message.blocks)]

    def changed(self, message: Message) -> None:
        if message.only_for:
            self.tell("message", self.shown(message), user=message.only_for)
        else:
            self.tell("message", self.shown(message), channel=message.channel)

    def remove(self, message: Message) -> None:
        if message.only_for:
            self.ephemeral.remove(message)
            self.tell("gone", {"channel": message.channel, "ts": message.ts}, user=message.only_for)
        else:
            self.messages[message.channel].remove(message)
            self.tell("gone", {"channel": message.channel, "ts": message.ts}, channel=message.channel)

    def set_status(self, channel_id: str, thread_ts: str, text: str, *, can_stop: bool = False) -> None:
        key = (channel_id, thread_ts)
        if not text and key not in self.statuses:
            return
        if text:
            self.statuses[key] = Status(text, self.now(), can_stop)
        else:
            del self.statuses[key]
        shown = {"channel": channel_id, "thread_ts": thread_ts, "text": text, "can_stop": can_stop}
        self.tell("status", shown, channel=channel_id)

    def _end_statuses(self, message: Message) -> None:
        """A post into a channel itself, as in a direct message without threads, ends all that stand there."""
        for channel_id, thread_ts in list(self.statuses):
            if channel_id == message.channel and message.thread_ts in ("", thread_ts):
                self.set_status(channel_id, thread_ts, "")

    def status(self, channel_id: str, thread_ts: str) -> str:
        found = self.statuses.get((channel_id, thread_ts))
        return found.text if found and self.now() - found.set_s < STATUS_LASTS_S else ""

    def shown(self, message: Message) -> Json:
        """What the page needs of a message, beside what the Web API tells."""
        replies = sum(1 for each in self.messages[message.channel] if each.is_reply and each.thread_ts == message.ts)
        return message.to_api() | {
            "channel": message.channel,
            "reply_count": replies,
            "is_reply": message.is_reply,
            "is_ephemeral": bool(message.only_for),
        }

    def open_view(self, user: str) -> View | None:
        """The modal that this person has in front of them."""
        return next((each for each in reversed(self.views.values()) if each.user == user), None)

    def new_trigger(self, user: str) -> str:
        trigger_id = f"{secrets.randbelow(10**10)}.{secrets.randbelow(10**10)}.{secrets.token_hex(16)}"
        self.triggers[trigger_id] = Trigger(user, self.now())
        return trigger_id

    @contextmanager
    def listening(self, user: str) -> Iterator[asyncio.Queue[Change]]:
        """The changes that this person sees, as they happen."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        self._listeners[queue] = user
        try:
            yield queue
        finally:
            del self._listeners[queue]

    def tell(self, kind: str, data: Json, *, channel: str = "", user: str = "") -> None:
        """To the members of a channel, or to one person."""
        self._is_changed = True
        wanted = self.channels[channel].members if channel else [user]
        for queue, listener in self._listeners.items():
            if listener in wanted:
                queue.put_nowait((kind, data))

    def save_if_changed(self) -> None:
        if self.folder is None or not self._is_changed:
            return
        self._is_changed = False
        kept = {channel: [asdict(each) for each in messages] for channel, messages in self.messages.items() if messages}
        unfinished = self.folder / f"{FILE}.new"
        unfinished.write_text(json.dumps({"messages": kept}, ensure_ascii=False), encoding="utf-8")
        unfinished.rename(self.folder / FILE)

    def _load(self) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / FILE
        if not path.exists():
            return
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for channel, messages in stored["messages"].items():
            if channel in self.messages:
                self.messages[channel] = [Message(**each) for each in messages]
