"""What a person has done with our buttons and modals, read from Slack's interaction payloads. Pure.

Source: https://docs.slack.dev/reference/interaction-payloads/block_actions-payload and /view-interactions-payload"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from integration_dispatcher.domain.slack_buttons import (
    FEEDBACK,
    MAX_REASON,
    REASON_ACTION,
    REASON_BLOCK,
    REASON_VIEW,
    Subject,
)

type Json = dict[str, Any]


@dataclass(frozen=True)
class Where:
    """The message with the button. `thread`: empty outside a thread."""

    team: str
    user: str
    channel: str = ""
    thread: str = ""
    ts: str = ""

    def dump(self) -> Json:
        return {"channel": self.channel, "thread": self.thread, "ts": self.ts}


@dataclass(frozen=True)
class Press:
    """`action`: the button's id, or `REASON_VIEW` for a reason that was given: then `reason` has its words."""

    where: Where
    action: str
    subject: Subject
    trigger_id: str = ""
    reason: str = ""
    blocks: Sequence[Json] = field(default_factory=list)


def read_press(payload: Json) -> Press | None:
    """None: nothing that our messages offer."""
    where = Where(_text(payload, "team", "id"), _text(payload, "user", "id"))
    try:
        match payload.get("type"):
            case "block_actions":
                return _button(payload, where)
            case "view_submission":
                return _reason(payload, where)
            case _:
                return None
    except (ValueError, LookupError, AttributeError, TypeError):
        return None


def _button(payload: Json, where: Where) -> Press:
    [action] = payload["actions"]
    container = payload["container"]
    found = Where(
        where.team,
        where.user,
        channel=_text(payload, "channel", "id") or str(container["channel_id"]),
        thread=str(container.get("thread_ts") or ""),
        ts=str(container["message_ts"]),
    )
    blocks = (payload.get("message") or {}).get("blocks") or []
    subject = Subject.load(str(action["value"]))
    return Press(found, str(action["action_id"]), subject, str(payload.get("trigger_id") or ""), blocks=blocks)


def _reason(payload: Json, where: Where) -> Press | None:
    view = payload["view"]
    if view.get("callback_id") != REASON_VIEW:
        return None
    about = orjson.loads(view["private_metadata"])
    entered = view["state"]["values"][REASON_BLOCK][REASON_ACTION].get("value") or ""
    found = Where(where.team, where.user, about["channel"], about["thread"], about["ts"])
    return Press(found, REASON_VIEW, Subject.load(about["subject"]), reason=str(entered).strip()[:MAX_REASON])


def metadata_of(press: Press) -> str:
    """What the modal brings back with the reason."""
    return orjson.dumps(press.where.dump() | {"subject": press.subject.dump()}).decode()


def rating_of(press: Press) -> Literal["up", "down"] | None:
    return press.subject.rating if press.action == FEEDBACK else None


def _text(payload: Json, *names: str) -> str:
    value: Any = payload
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
