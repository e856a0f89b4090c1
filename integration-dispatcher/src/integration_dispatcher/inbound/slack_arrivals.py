"""What Slack has sent, verified, as an inbound event; None for what is none of our business. Pure.

A message is known by (team, channel, ts), so that `message` and `app_mention` for one message are one event; everything else by
Slack's own id. Sources: https://docs.slack.dev/reference/events/message, /app_mention, /agent_session_stopped;
https://docs.slack.dev/interactivity/implementing-slash-commands; https://docs.slack.dev/reference/interaction-payloads, /shortcuts-interaction-payload"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from shared_models.slack_manifest import ASK_SHORTCUT

from integration_dispatcher.store.inbound import NewInbound

PROVIDER, ACTIONS = "slack", "slack_action"
MESSAGE, COMMAND, STOPPED = "message", "command", "stopped"
# A message with files has a subtype, as has one that is also sent to the channel. Edits, joins and the like are no questions.
SUBTYPES = (None, "", "file_share", "thread_broadcast")
# Somebody else's words: with these before them they are no command, and no yes to an open question.
ASKED_ABOUT = "About this Slack message:\n{words}"
MAX_FILES = 20
MAX_NAME = 200

type Json = dict[str, Any]


def event(body: Json) -> NewInbound | None:
    """Of an `event_callback`."""
    inner = body.get("event")
    if not isinstance(inner, dict):
        return None
    match inner.get("type"):
        case "message" | "app_mention":
            return _message(body, inner)
        case "agent_session_stopped":
            return _stopped(body, inner)
        case _:
            return None


def command(form: Mapping[str, str]) -> NewInbound:
    team, user = form.get("team_id", ""), form.get("user_id", "")
    payload = {"kind": COMMAND, "team": team, "user": user, "text": _text(form.get("text"))}
    own_id = form.get("trigger_id") or _digest(dict(form))
    return NewInbound(PROVIDER, f"slack:{team}:{own_id}", f"slack:{team}:{user}", payload)


def interaction(payload: Json) -> NewInbound:
    """A press, a modal that was sent or closed: kept whole, but for the token. Our shortcut on a message is a command with
    its words."""
    kept = clean({name: value for name, value in payload.items() if name != "token"})
    team = _text((payload.get("team") or {}).get("id"))
    user = _text((payload.get("user") or {}).get("id"))
    own_id = payload.get("trigger_id") or _digest(payload)
    if (payload.get("type"), payload.get("callback_id")) == ("message_action", ASK_SHORTCUT):
        words = _text((payload.get("message") or {}).get("text")).strip()
        text = ASKED_ABOUT.format(words=words) if words else ""
        return command({"team_id": team, "user_id": user, "text": text, "trigger_id": own_id})
    return NewInbound(ACTIONS, f"slack:{team}:{own_id}", f"slack_action:{team}:{user}", kept)


def conversation_of(team: str, channel: str, thread: str) -> str:
    """A direct message is one conversation, elsewhere a thread is one."""
    return f"slack:{team}:{channel}" if channel.startswith("D") else f"slack:{team}:{channel}:{thread}"


def _message(body: Json, inner: Json) -> NewInbound | None:
    team, channel, user, ts = (_text(value) for value in (body.get("team_id"), *_named(inner, "channel", "user", "ts")))
    if (
        inner.get("bot_id")
        or inner.get("hidden")
        or inner.get("subtype") not in SUBTYPES
        or not (channel and user and ts)
    ):
        return None
    bot = _bot_user(body)
    is_mention = inner.get("type") == "app_mention" or (bot != "" and f"<@{bot}>" in str(inner.get("text")))
    thread = _text(inner.get("thread_ts"))
    is_direct = channel.startswith("D")
    if user == bot or not (is_direct or is_mention or thread):
        return None
    payload = {
        "kind": MESSAGE,
        "team": team,
        "channel": channel,
        "user": user,
        "text": _text(inner.get("text")),
        "ts": ts,
        "thread": thread,
        "is_mention": is_mention,
        "is_reply_to_bot": bot != "" and inner.get("parent_user_id") == bot,
        "bot": bot,
        "files": _files(inner.get("files")),
    }
    is_known_by_ts = is_direct or is_mention
    own_id = f"{channel}:{ts}" if is_known_by_ts else _text(body.get("event_id")) or f"{channel}:{ts}"
    return NewInbound(
        PROVIDER, f"slack:{team}:{own_id}", conversation_of(team, channel, thread or ts), payload, order=_order(ts)
    )


def _stopped(body: Json, inner: Json) -> NewInbound | None:
    team, channel, user, thread = (
        _text(value) for value in (body.get("team_id"), *_named(inner, "channel", "user", "thread_ts"))
    )
    if not (channel and user):
        return None
    payload = {"kind": STOPPED, "team": team, "channel": channel, "user": user, "thread": thread}
    own_id = _text(body.get("event_id")) or f"stopped:{channel}:{thread}:{_text(inner.get('event_ts'))}"
    return NewInbound(PROVIDER, f"slack:{team}:{own_id}", conversation_of(team, channel, thread), payload)


def clean(value: Any) -> Any:
    """The value without what no text column takes: NUL and lone surrogates."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {clean(name): clean(each) for name, each in value.items()}
    return [clean(each) for each in value] if isinstance(value, list) else value


def _named(inner: Json, *names: str) -> list[object]:
    return [inner.get(name) for name in names]


def _text(value: object) -> str:
    return str(clean(value)) if isinstance(value, str) else ""


def _bot_user(body: Json) -> str:
    """The app's own user, as each event names it."""
    for each in body.get("authorizations") or []:
        if isinstance(each, dict) and each.get("is_bot") and isinstance(each.get("user_id"), str):
            return str(each["user_id"])
    return ""


def _files(files: object) -> list[Json]:
    named = [each for each in files if isinstance(each, dict)] if isinstance(files, list) else []
    return [
        {
            "name": _text(each.get("name") or each.get("title"))[:MAX_NAME] or "a file",
            "type": _text(each.get("mimetype")),
        }
        for each in named[:MAX_FILES]
    ]


def _order(ts: str) -> int | None:
    """Slack's time stamp (seconds, a dot, six digits) in microseconds: it orders the messages of a channel."""
    seconds, _, micros = ts.partition(".")
    if not (seconds.isascii() and seconds.isdigit() and micros.isascii() and micros.isdigit()) or len(seconds) > 12:
        return None
    return int(seconds) * 1_000_000 + int(micros[:6].ljust(6, "0"))


def _digest(value: object) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
