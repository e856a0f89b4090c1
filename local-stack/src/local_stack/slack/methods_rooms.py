"""Methods that read: users.* and conversations.*"""

import base64
import binascii

from local_stack.slack.call import Call
from local_stack.slack.errors import Refused
from local_stack.slack.members import BOT_USER_ID
from local_stack.slack.records import Channel, Json, Message

HISTORY_SCOPE = {"channel": "channels:history", "im": "im:history"}


async def users_info(call: Call) -> Json:
    """Without users:read.email the address is not told. Source: https://docs.slack.dev/reference/methods/users.info"""
    member = call.workspace.member(call.needed("user", "user_not_found"))
    return {"user": member.to_api(with_email=_is_granted(call, "users:read.email"))}


async def users_lookup_by_email(call: Call) -> Json:
    wanted = call.needed("email", "users_not_found").strip().lower()
    members = call.workspace.members.values()
    found = next((each for each in members if each.email.lower() == wanted and each.is_active), None)
    if found is None:
        raise Refused("users_not_found")
    return {"user": found.to_api(with_email=True)}


async def conversations_open(call: Call) -> Json:
    """Only with one person. Source: https://docs.slack.dev/reference/methods/conversations.open"""
    if call.text("channel"):
        return {"channel": {"id": call.channel().id}, "already_open": True, "no_op": True}
    users = [each for each in call.needed("users", "users_list_not_supplied").split(",") if each]
    if len(users) != 1:
        raise Refused("too_many_users")
    member = call.workspace.member(users[0])
    if member.id == BOT_USER_ID:
        raise Refused("cannot_dm_bot")
    if not member.is_active:
        raise Refused("user_disabled")
    channel = call.workspace.direct(member)
    shown = channel.to_api() if call.flag("return_im") else {"id": channel.id}
    return {"channel": shown, "already_open": bool(call.workspace.messages[channel.id]), "no_op": True}


async def conversations_info(call: Call) -> Json:
    return {"channel": call.channel().to_api()}


async def conversations_history(call: Call) -> Json:
    """The newest first, without replies in threads."""
    channel = _readable(call)
    messages = [each for each in call.workspace.messages[channel.id] if not each.is_reply or each.is_broadcast]
    return _page(call, [each for each in reversed(messages) if _is_between(call, each)], default=100)


async def conversations_replies(call: Call) -> Json:
    """The message that began the thread, then its replies, the oldest first."""
    channel = _readable(call)
    above, *replies = call.workspace.thread(channel.id, call.needed("ts", "thread_not_found"))
    return _page(call, [above, *(each for each in replies if _is_between(call, each))], default=1000)


def _readable(call: Call) -> Channel:
    """Raises Refused."""
    channel = call.channel()
    needed = HISTORY_SCOPE[channel.kind]
    if not _is_granted(call, needed):
        raise Refused("missing_scope", needed=needed, provided=call.standin.settings.scopes)
    if BOT_USER_ID not in channel.members:
        raise Refused("not_in_channel")
    return channel


def _is_granted(call: Call, scope: str) -> bool:
    return scope in call.standin.settings.scopes.split(",")


def _is_between(call: Call, message: Message) -> bool:
    oldest, latest = call.text("oldest", "0"), call.text("latest", "9999999999.999999")
    try:
        at, first, last = (float(each) for each in (message.ts, oldest, latest))
    except ValueError:
        raise Refused("invalid_ts_oldest") from None
    return first < at < last or (call.flag("inclusive") and message.ts in (oldest, latest))


def _page(call: Call, messages: list[Message], *, default: int) -> Json:
    """`limit` of them from `cursor` on; metadata only when asked for."""
    limit, start = call.number("limit", default, 1000), _start(call.text("cursor"))
    with_metadata = call.flag("include_all_metadata")
    shown = [_counted(call, each, with_metadata) for each in messages[start : start + limit]]
    has_more = len(messages) > start + limit
    cursor = base64.b64encode(f"next:{start + limit}".encode()).decode() if has_more else ""
    return {"messages": shown, "has_more": has_more, "response_metadata": {"next_cursor": cursor}}


def _counted(call: Call, message: Message, with_metadata: bool) -> Json:
    body = message.to_api(with_metadata=with_metadata)
    if message.thread_ts != message.ts or not message.thread_ts:
        return body
    replies = call.workspace.thread(message.channel, message.ts)[1:]
    users = list(dict.fromkeys(each.user for each in replies))
    return body | {"reply_count": len(replies), "reply_users": users, "latest_reply": replies[-1].ts if replies else ""}


def _start(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(cursor).decode().removeprefix("next:"))
    except (ValueError, binascii.Error):
        raise Refused("invalid_cursor") from None
