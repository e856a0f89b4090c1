"""What was said in a thread before the app was called into it. Source: https://docs.slack.dev/reference/methods/conversations.replies"""

from typing import Any

from integration_dispatcher.domain.slack_words import plain
from integration_dispatcher.inbound.slack_calls import SlackCalls
from integration_dispatcher.inbound.slack_identity import SlackIdentity

READ_MESSAGES = 100
MAX_MESSAGES = 20
MAX_CHARS = 4000
MAX_MESSAGE_CHARS = 1000
# The thread may be gone, or the app may lack the right to read here: then the question stands alone.
NOT_READABLE = ("thread_not_found", "channel_not_found", "not_in_channel", "missing_scope", "no_permission")

type Json = dict[str, Any]


class SlackThreads:
    def __init__(self, calls: SlackCalls, identity: SlackIdentity) -> None:
        self._calls = calls
        self._identity = identity

    async def before(self, payload: Json) -> str:
        """What people said since the app last spoke there, as lines `Name: words`; empty: nothing, or it may not be read.

        Raises RetryLater, GiveUp."""
        arguments = {"channel": payload["channel"], "ts": payload["thread"], "latest": payload["ts"]}
        reply = await self._calls.ask(
            "conversations.replies", arguments | {"limit": READ_MESSAGES}, none_for=NOT_READABLE
        )
        messages = reply.get("messages") if reply is not None else None
        if not isinstance(messages, list):
            return ""
        lines = [await self._line(each, payload) for each in unheard(messages, payload)]
        return "\n".join(lines)

    async def _line(self, message: Json, payload: Json) -> str:
        member = await self._identity.member(payload["team"], str(message.get("user") or ""))
        words = plain(str(message.get("text") or ""), payload["bot"])[:MAX_MESSAGE_CHARS]
        return f"{member.name or 'Somebody'}: {words}"


def unheard(messages: list[object], payload: Json) -> list[Json]:
    """People's messages before this one, since the app's last one: the newest, within our bounds."""
    heard: list[Json] = []
    for message in messages:
        if not isinstance(message, dict) or str(message.get("ts")) >= payload["ts"]:
            continue
        if message.get("bot_id") and message.get("user") == payload["bot"]:
            heard = []
        elif message.get("user") and message.get("text") and not message.get("bot_id"):
            heard.append(message)
    kept: list[Json] = []
    size = 0
    for message in reversed(heard[-MAX_MESSAGES:]):
        size += min(len(str(message["text"])), MAX_MESSAGE_CHARS)
        if size > MAX_CHARS:
            break
        kept.insert(0, message)
    return kept
