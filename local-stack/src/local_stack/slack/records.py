"""The things of a workspace: channels, messages, views, and the one-time keys that Slack hands out."""

from dataclasses import dataclass, field
from typing import Any, Literal

from local_stack.slack.members import APP_ID, BOT_ID, BOT_USER_ID, TEAM_ID

type Json = dict[str, Any]


@dataclass
class Channel:
    """`user`: in a direct message, the person who talks with the app."""

    id: str
    name: str
    kind: Literal["channel", "im"]
    members: list[str]
    user: str = ""
    is_archived: bool = False

    def to_api(self) -> Json:
        """Source: https://docs.slack.dev/reference/objects/conversation-object"""
        if self.kind == "im":
            return {"id": self.id, "is_im": True, "is_archived": self.is_archived, "user": self.user}
        return {
            "id": self.id,
            "name": self.name,
            "is_channel": True,
            "is_group": False,
            "is_im": False,
            "is_private": False,
            "is_archived": self.is_archived,
            "is_general": self.name == "general",
            "is_member": BOT_USER_ID in self.members,
            "context_team_id": TEAM_ID,
        }


@dataclass
class Message:
    """`only_for`: the one person who sees an ephemeral message. `reactions`: name → ids of who reacted, in order."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str = ""
    is_bot: bool = False
    is_broadcast: bool = False
    only_for: str = ""
    metadata: Json = field(default_factory=dict)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    files: list[Json] = field(default_factory=list)
    edited_ts: str = ""
    client_msg_id: str = ""

    @property
    def is_reply(self) -> bool:
        return self.thread_ts not in ("", self.ts)

    def to_api(self, *, with_metadata: bool = False) -> Json:
        """Source: https://docs.slack.dev/reference/events/message"""
        body: Json = {"type": "message", "user": self.user, "ts": self.ts, "text": self.text, "team": TEAM_ID}
        if self.is_bot:
            body |= {"bot_id": BOT_ID, "app_id": APP_ID}
        optional = {
            "client_msg_id": self.client_msg_id,
            "thread_ts": self.thread_ts,
            "blocks": self.blocks,
            "files": self.files,
            "metadata": self.metadata if with_metadata else {},
            "reactions": [{"name": n, "users": u, "count": len(u)} for n, u in self.reactions.items()],
            "edited": {"user": self.user, "ts": self.edited_ts} if self.edited_ts else {},
            "subtype": "thread_broadcast" if self.is_broadcast else "file_share" if self.files else "",
        }
        return body | {name: value for name, value in optional.items() if value}


@dataclass
class View:
    """A modal that is open for a person. `below`: the view that shows again when this one is closed."""

    id: str
    user: str
    content: Json
    hash: str
    below: "View | None" = None
    values: Json = field(default_factory=dict)

    @property
    def root_id(self) -> str:
        return self.below.root_id if self.below else self.id

    @property
    def depth(self) -> int:
        return 1 + (self.below.depth if self.below else 0)

    def to_api(self) -> Json:
        """Source: https://docs.slack.dev/reference/interaction-payloads/view-interactions-payload"""
        usual = {"private_metadata": "", "callback_id": "", "external_id": "", "submit": None, "close": None}
        flags = {"clear_on_close": False, "notify_on_close": False}
        own = {
            "id": self.id,
            "team_id": TEAM_ID,
            "app_id": APP_ID,
            "app_installed_team_id": TEAM_ID,
            "bot_id": BOT_ID,
            "hash": self.hash,
            "root_view_id": self.root_id,
            "previous_view_id": self.below.id if self.below else None,
            "state": {"values": self.values},
        }
        return usual | flags | self.content | own


@dataclass
class Trigger:
    """The right to open one modal for this person."""

    user: str
    issued_s: float
    is_used: bool = False


@dataclass
class ResponseUrl:
    """A place to post to without a token, five times in half an hour. `message_ts`: what `replace_original` replaces."""

    user: str
    channel: str
    thread_ts: str
    message_ts: str
    issued_s: float
    uses: int = 0


@dataclass(frozen=True)
class Status:
    """What stands below a thread while the app works ("is looking up your laptop…"); of a session it can be stopped."""

    text: str
    set_s: float
    can_stop: bool = False
