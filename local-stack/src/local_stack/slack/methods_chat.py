"""Methods that write: chat.*"""

import re

from local_stack.slack.blocks import check_message_blocks
from local_stack.slack.call import Call
from local_stack.slack.errors import Refused
from local_stack.slack.members import BOT_ID, BOT_USER_ID, TEAM_DOMAIN
from local_stack.slack.records import Json, Message

MOST_CHARACTERS = 40_000  # more is cut off
MOST_UPDATED_CHARACTERS = 4_000
MOST_MARKDOWN_CHARACTERS = 12_000
TS = re.compile(r"\d{1,12}\.\d{6}")


async def post_message(call: Call) -> Json:
    """Source: https://docs.slack.dev/reference/methods/chat.postMessage"""
    channel = call.joined()
    message = _content(call, Message(channel.id, "", BOT_USER_ID, "", is_bot=True))
    message.thread_ts = _thread(call, channel.id)
    message.is_broadcast = bool(message.thread_ts) and call.flag("reply_broadcast")
    message.metadata = _metadata(call)
    message.ts = call.workspace.new_ts()
    if len(message.text) > MOST_CHARACTERS:
        message.text = message.text[:MOST_CHARACTERS]
        call.workspace.truncated.append((channel.id, message.ts))
    call.standin.post(message)
    return {"channel": channel.id, "ts": message.ts, "message": _shown(message)}


async def post_ephemeral(call: Call) -> Json:
    """Source: https://docs.slack.dev/reference/methods/chat.postEphemeral"""
    channel = call.joined()
    user = call.workspace.member(call.needed("user", "user_not_found")).id
    if user not in channel.members:
        raise Refused("user_not_in_channel")
    message = _content(call, Message(channel.id, "", BOT_USER_ID, "", is_bot=True, only_for=user))
    message.thread_ts = _thread(call, channel.id)
    message.ts = call.workspace.new_ts()
    if len(message.text) > MOST_CHARACTERS:
        raise Refused("msg_too_long")
    call.workspace.add_ephemeral(message)
    return {"message_ts": message.ts}


async def update(call: Call) -> Json:
    """Source: https://docs.slack.dev/reference/methods/chat.update"""
    message = _own(call)
    before = message.to_api()
    changed = _content(call, Message(message.channel, message.ts, BOT_USER_ID, "", is_bot=True))
    if len(changed.text) > MOST_UPDATED_CHARACTERS:
        raise Refused("msg_too_long")
    metadata = _metadata(call)
    message.text = changed.text or message.text
    # Words without blocks take the place of earlier blocks.
    message.blocks = changed.blocks
    message.metadata = metadata or message.metadata
    message.edited_ts = call.workspace.new_ts()
    call.workspace.note_pings(message)
    call.standin.note_change(message, before)
    return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": _shown(message)}


async def delete(call: Call) -> Json:
    message = _own(call)
    call.standin.remove(message)
    return {"channel": message.channel, "ts": message.ts}


async def get_permalink(call: Call) -> Json:
    channel, ts = call.channel(), call.needed("message_ts", "message_not_found")
    call.workspace.find(channel.id, ts)
    return {
        "channel": channel.id,
        "permalink": f"https://{TEAM_DOMAIN}.slack.com/archives/{channel.id}/p{ts.replace('.', '')}",
    }


def _content(call: Call, message: Message) -> Message:
    """Put text and blocks into it. Raises Refused: no_text, invalid_blocks, msg_too_long, markdown_text_conflict."""
    blocks = call.structure("blocks", "invalid_blocks_format")
    markdown = call.text("markdown_text")
    message.text = call.text("text")
    message.blocks = check_message_blocks(blocks) if blocks else []
    if markdown:
        if message.text or message.blocks:
            raise Refused("markdown_text_conflict")
        if len(markdown) > MOST_MARKDOWN_CHARACTERS:
            raise Refused("msg_too_long")
        message.text, message.blocks = markdown, [{"type": "markdown", "text": markdown, "block_id": "b0"}]
    if not message.text.strip() and not message.blocks:
        raise Refused("no_text")
    return message


def _thread(call: Call, channel_id: str) -> str:
    """Raises Refused: invalid_thread_ts, thread_not_found."""
    thread_ts = call.text("thread_ts")
    if not thread_ts:
        return ""
    if not TS.fullmatch(thread_ts):
        raise Refused("invalid_thread_ts")
    return call.workspace.thread(channel_id, thread_ts)[0].ts


def _metadata(call: Call) -> Json:
    """Raises Refused: invalid_metadata_format, metadata_too_large."""
    metadata = call.structure("metadata", "invalid_metadata_format")
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or set(metadata) - {"event_type", "event_payload", "entities"}:
        raise Refused("invalid_metadata_format")
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise Refused("invalid_metadata_format")
    return metadata


def _own(call: Call) -> Message:
    """Raises Refused."""
    message = call.workspace.find(call.channel().id, call.needed("ts", "message_not_found"))
    if not message.is_bot:
        raise Refused("cant_update_message" if call.method == "chat.update" else "cant_delete_message")
    return message


def _shown(message: Message) -> Json:
    return message.to_api(with_metadata=True) | {"bot_id": BOT_ID}
