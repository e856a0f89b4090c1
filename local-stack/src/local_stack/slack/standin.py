"""The Slack stand-in: everything that its routes need, and what a person in the workspace can do."""

import asyncio
import html
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from local_stack.faults import Faults
from local_stack.slack import payloads
from local_stack.slack.errors import Refused
from local_stack.slack.faults import Fault
from local_stack.slack.limits import Limits
from local_stack.slack.members import BOT, BOT_USER_ID, Member, new_id
from local_stack.slack.records import Channel, Json, Message
from local_stack.slack.responses import Responses
from local_stack.slack.sender import Sender, Sent
from local_stack.slack.settings import SlackStandinSettings
from local_stack.slack.sockets import Sockets
from local_stack.slack.workspace import Workspace

MENTION = f"<@{BOT_USER_ID}>"
MOST_CALLS = 5000
SAVE_EVERY_S = 1.0


@dataclass(frozen=True)
class ApiCall:
    """One call of the Web API. `error` is empty when it was done; `arguments` are without the token."""

    method: str
    arguments: Json
    error: str
    at_s: float


@dataclass
class Standin:
    """`now`: wall clock in seconds; `clock`: monotonic, for the limits. `http` ends at the app.

    `calls`: the Web API's calls, oldest first. `folder` None: nothing is kept."""

    settings: SlackStandinSettings
    http: httpx.AsyncClient
    folder: Path | None = None
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    faults: Faults[Fault] = field(default_factory=Faults)
    sockets: Sockets = field(default_factory=Sockets)
    calls: deque[ApiCall] = field(default_factory=lambda: deque(maxlen=MOST_CALLS))

    def __post_init__(self) -> None:
        self.workspace = Workspace(self.now, self.folder)
        self.limits = Limits(self.settings, self.clock)
        self.sender = Sender(self.settings, self.http, self.sockets, self.now)
        self.responses = Responses(self.workspace, self.settings.public_url, self.post)

    async def keep(self) -> None:
        """Save what was said, now and then, until cancelled."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            self.workspace.save_if_changed()

    async def close(self) -> None:
        await self.sender.close()
        self.workspace.save_if_changed()

    def send_event(self, event: Json) -> Json:
        """Begin to send; return the envelope."""
        envelope = payloads.event_callback(event, self.now())
        self.sender.begin_event(envelope)
        return envelope

    def post(self, message: Message) -> Message:
        """Add a message, and tell the app of it if it is in the channel. Its own messages come back to it, too."""
        channel = self.workspace.channels[message.channel]
        self.workspace.add(message)
        if BOT_USER_ID not in channel.members or (message.is_bot and not self.settings.sends_own_messages):
            return message
        parent_user = self.workspace.thread(channel.id, message.thread_ts)[0].user if message.is_reply else ""
        self.send_event(payloads.message_event(message, channel, parent_user))
        if MENTION in message.text and channel.kind != "im" and not message.is_bot:
            self.send_event(payloads.mention_event(message, channel, parent_user))
        return message

    def say(self, who: str, where: str, text: str, *, thread: str = "", files: Sequence[Json] = ()) -> Message:
        """A person writes; `text` is as Slack sends it, see `typed`. `where`: #channel, or "" for the talk with the app."""
        member = self.workspace.member(who)
        channel = self.workspace.channel(where or member.id)
        if member.id not in channel.members:
            raise Refused("not_in_channel")
        if thread:
            self.workspace.thread(channel.id, thread)
        return self.post(
            Message(
                channel.id,
                self.workspace.new_ts(),
                member.id,
                text,
                thread_ts=thread,
                files=[_file(each, self.workspace.new_ts()) for each in files],
                client_msg_id=payloads.new_client_msg_id(),
            )
        )

    def edit(self, who: str, where: str, ts: str, text: str) -> Message:
        """Change one's own message. Raises Refused."""
        message = self._own(who, where, ts)
        before = message.to_api()
        message.text, message.edited_ts = text, self.workspace.new_ts()
        self.note_change(message, before)
        return message

    def delete(self, who: str, where: str, ts: str) -> None:
        message = self._own(who, where, ts)
        self.remove(message)

    def note_change(self, message: Message, before: Json) -> None:
        """Show a changed message, and tell the app as Slack does."""
        channel = self.workspace.channels[message.channel]
        self.workspace.changed(message)
        if BOT_USER_ID in channel.members:
            self.send_event(payloads.changed_event(message, before, channel, self.workspace.new_ts()))

    def remove(self, message: Message) -> None:
        channel = self.workspace.channels[message.channel]
        self.workspace.remove(message)
        if BOT_USER_ID in channel.members and not message.only_for:
            self.send_event(payloads.deleted_event(message.to_api(), channel, self.workspace.new_ts()))

    def open_direct(self, who: str) -> Channel:
        """A person opens the talk with the app."""
        member = self.workspace.member(who)
        channel = self.workspace.direct(member)
        self.send_event(payloads.home_opened_event(member, channel, self.workspace.new_ts()))
        return channel

    def join(self, who: str, where: str) -> None:
        """Also somebody who is there already may come again."""
        member, channel = self.workspace.member(who), self.workspace.channel(where)
        if member.id not in channel.members:
            channel.members.append(member.id)
        self.send_event(payloads.joined_event(member, channel, self.workspace.new_ts()))

    def react(self, who: str, where: str, ts: str, name: str) -> None:
        """Add one's reaction, or take it away again."""
        member, channel = self.workspace.member(who), self.workspace.channel(where)
        message = self.workspace.find(channel.id, ts)
        users = message.reactions.setdefault(name, [])
        if member.id in users:
            users.remove(member.id)
        else:
            users.append(member.id)
        message.reactions = {name: users for name, users in message.reactions.items() if users}
        self.workspace.changed(message)

    def stop(self, who: str, where: str, thread_ts: str) -> None:
        """Ask the app to end its work in this thread; the status goes at once."""
        member = self.workspace.member(who)
        channel = self.workspace.channel(where or member.id)
        self.workspace.set_status(channel.id, thread_ts, "")
        self.send_event(payloads.stopped_event(member, channel, thread_ts, self.workspace.new_ts()))

    async def command(self, who: str, where: str, command: str, text: str = "") -> Sent:
        """A slash command; the answer, or why there is none, is shown to the person."""
        member = self.workspace.member(who)
        channel = self.workspace.channel(where or member.id)
        form = payloads.command_form(member, channel, command, text)
        form["trigger_id"] = self.workspace.new_trigger(member.id)
        form["response_url"] = self.responses.new_url(member.id, channel.id)
        sent = await self.sender.command(form)
        if not sent.is_taken:
            word = "operation_timeout" if sent.reason in ("http_timeout", "timeout") else "dispatch_failed"
            self.tell_only(member, channel, f'{command} failed with the error "{word}"')
        elif sent.body:
            answer = sent.json()
            body = answer if isinstance(answer, dict) else {"text": sent.body.decode(errors="replace")}
            if body.get("text") or body.get("blocks"):
                self.responses.answer(member.id, channel.id, body)
        return sent

    async def press(self, who: str, where: str, ts: str, action: Json) -> Sent:
        """Use a button or menu of a message that this person sees. `action`: see `actions.find_action`."""
        member = self.workspace.member(who)
        channel = self.workspace.channel(where or member.id)
        message = self.seen(who, where, ts)
        payload = payloads.interaction("block_actions", member) | payloads.message_action_fields(message, channel)
        payload |= {
            "actions": [action | {"action_ts": self.workspace.new_ts()}],
            "state": {"values": {}},
            "trigger_id": self.workspace.new_trigger(member.id),
            "response_url": self.responses.new_url(member.id, channel.id, message),
        }
        return await self.sender.interactive(payload)

    async def shortcut(self, who: str, callback_id: str, where: str = "", ts: str = "") -> Sent:
        """A global shortcut, or with `ts` one on a message."""
        member = self.workspace.member(who)
        payload = payloads.interaction("message_action" if ts else "shortcut", member)
        payload |= {"callback_id": callback_id, "action_ts": self.workspace.new_ts()}
        payload["trigger_id"] = self.workspace.new_trigger(member.id)
        if ts:
            channel = self.workspace.channel(where)
            message = self.seen(who, where, ts)
            fields = payloads.message_action_fields(message, channel)
            payload |= {"channel": fields["channel"], "message": message.to_api(), "message_ts": ts}
            payload["response_url"] = self.responses.new_url(member.id, channel.id, message)
        return await self.sender.interactive(payload)

    def tell_only(self, member: Member, channel: Channel, text: str) -> None:
        """Slack's own words to one person."""
        message = Message(channel.id, self.workspace.new_ts(), "USLACKBOT", text, only_for=member.id)
        self.workspace.add_ephemeral(message)

    def _own(self, who: str, where: str, ts: str) -> Message:
        member = self.workspace.member(who)
        message = self.workspace.find(self.workspace.channel(where or member.id).id, ts)
        if message.user != member.id:
            raise Refused("cant_update_message")
        return message

    def seen(self, who: str, where: str, ts: str) -> Message:
        """A message that this person sees, ephemeral ones included. Raises Refused."""
        member = self.workspace.member(who)
        channel = self.workspace.channel(where or member.id)
        for each in self.workspace.ephemeral:
            if (each.channel, each.ts, each.only_for) == (channel.id, ts, member.id):
                return each
        return self.workspace.find(channel.id, ts)


def typed(text: str, members: Sequence[Member]) -> str:
    """What Slack sends for typed words: `& < >` escaped, @names as mentions."""
    escaped = html.escape(text, quote=False)
    for each in sorted((*members, BOT), key=lambda member: -len(member.name)):
        for name in (each.name, each.user_name):
            escaped = re.sub(rf"(?<![\w@])@{re.escape(name)}\b", f"<@{each.id}>", escaped, flags=re.IGNORECASE)
    return escaped


def _file(file: Json, key: str) -> Json:
    """A file as an event tells of it; its bytes are nowhere."""
    name = str(file.get("name", "file"))[:255]
    return {
        "id": new_id("F", f"{name}:{key}:{secrets.token_hex(4)}"),
        "name": name,
        "title": name,
        "mimetype": str(file.get("mimetype", "application/octet-stream"))[:100],
        "filetype": name.rpartition(".")[2][:10],
        "size": int(file.get("size", 0)),
        "mode": "hosted",
        "is_external": False,
    }
