"""Has this message arrived? Looked up by the metadata that every message of ours carries."""

from typing import Any
from uuid import UUID

from integration_dispatcher.domain.slack_message import Place
from integration_dispatcher.slack_api import SlackApi, SlackRefused

PAGE = 100
MAX_PAGES = 10
CLOCK_SKEW_S = 300
# Without the right to read back nothing can be found; the post itself says what else is wrong.
BLIND = frozenset({"missing_scope", "not_in_channel", "channel_not_found", "thread_not_found"})


async def find_post(api: SlackApi, place: Place, delivery_id: UUID, key: str) -> str:
    """The `ts` of the message with this key; empty when it is not there. Raises as SlackApi.call.

    Source: https://docs.slack.dev/reference/methods/conversations.replies"""
    oldest = max(0, planned_at_s(delivery_id) - CLOCK_SKEW_S)
    arguments: dict[str, Any] = {"channel": place.channel, "limit": PAGE, "include_all_metadata": True}
    arguments |= {"oldest": f"{oldest}.000000"}
    method = "conversations.replies" if place.thread else "conversations.history"
    if place.thread:
        arguments["ts"] = place.thread
    for _ in range(MAX_PAGES):
        try:
            reply = await api.call(method, arguments)
        except SlackRefused as exc:
            if exc.error in BLIND:
                return ""
            raise
        for message in reply.get("messages") or []:
            if _key(message) == key:
                return str(message.get("ts", ""))
        arguments["cursor"] = (reply.get("response_metadata") or {}).get("next_cursor") or ""
        if not arguments["cursor"]:
            break
    return ""


def planned_at_s(delivery_id: UUID) -> int:
    """The time in a UUIDv7. Source: RFC 9562 section 5.7."""
    return (delivery_id.int >> 80) // 1000


def _key(message: dict[str, Any]) -> object:
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    return payload.get("delivery_id")
