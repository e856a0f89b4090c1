"""The bodies that Slack sends to an app: events, commands, presses, modals.

Source: https://docs.slack.dev/reference/interaction-payloads and https://docs.slack.dev/apis/events-api"""

import secrets
import uuid

from local_stack.slack.members import APP_ID, BOT_USER_ID, TEAM_DOMAIN, TEAM_ID, Member
from local_stack.slack.records import Channel, Json, Message, View

OLD_TOKEN = "stand-in-verification-token"  # the retired way to know Slack; the signature counts  # noqa: S105


def event_callback(event: Json, now_s: float) -> Json:
    """The envelope around one event, with an id of its own."""
    return {
        "token": OLD_TOKEN,
        "team_id": TEAM_ID,
        "context_team_id": TEAM_ID,
        "context_enterprise_id": None,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": f"Ev{secrets.token_hex(5).upper()}",
        "event_time": int(now_s),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": TEAM_ID,
                "user_id": BOT_USER_ID,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": f"4-{secrets.token_urlsafe(24)}",
    }


def message_event(message: Message, channel: Channel, parent_user: str = "") -> Json:
    """A `message` event, of whoever wrote it. `parent_user`: who began the thread that it is a reply in."""
    return message.to_api() | {
        "channel": channel.id,
        "event_ts": message.ts,
        "channel_type": channel.kind,
        **({"parent_user_id": parent_user} if message.is_reply and parent_user else {}),
    }


def mention_event(message: Message, channel: Channel, parent_user: str = "") -> Json:
    """The second event of the same message: it has the same `ts` and no `channel_type`."""
    event = message_event(message, channel, parent_user)
    del event["channel_type"]
    return event | {"type": "app_mention"}


def changed_event(message: Message, before: Json, channel: Channel, ts: str) -> Json:
    return {
        "type": "message",
        "subtype": "message_changed",
        "channel": channel.id,
        "channel_type": channel.kind,
        "ts": ts,
        "event_ts": ts,
        "hidden": True,
        "message": message.to_api(),
        "previous_message": before,
    }


def deleted_event(before: Json, channel: Channel, ts: str) -> Json:
    return {
        "type": "message",
        "subtype": "message_deleted",
        "channel": channel.id,
        "channel_type": channel.kind,
        "ts": ts,
        "event_ts": ts,
        "deleted_ts": before["ts"],
        "hidden": True,
        "previous_message": before,
    }


def joined_event(member: Member, channel: Channel, ts: str) -> Json:
    """What Slack itself writes into a channel when somebody joins."""
    return {
        "type": "message",
        "subtype": "channel_join",
        "user": member.id,
        "text": f"<@{member.id}> has joined the channel",
        "channel": channel.id,
        "channel_type": channel.kind,
        "ts": ts,
        "event_ts": ts,
    }


def home_opened_event(member: Member, channel: Channel, ts: str) -> Json:
    return {"type": "app_home_opened", "user": member.id, "channel": channel.id, "tab": "messages", "event_ts": ts}


def stopped_event(member: Member, channel: Channel, thread_ts: str, ts: str) -> Json:
    """Somebody pressed the stop button of a session. Source: https://docs.slack.dev/reference/events/agent_session_stopped"""
    return {
        "type": "agent_session_stopped",
        "user": member.id,
        "channel": channel.id,
        "thread_ts": thread_ts,
        "event_ts": ts,
    }


def command_form(member: Member, channel: Channel, command: str, text: str) -> dict[str, str]:
    """Without `response_url` and `trigger_id`, which the sender adds."""
    return {
        "token": OLD_TOKEN,
        "team_id": TEAM_ID,
        "team_domain": TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": "directmessage" if channel.kind == "im" else channel.name,
        "user_id": member.id,
        "user_name": member.user_name,
        "command": command,
        "text": text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
    }


def interaction(kind: str, member: Member) -> Json:
    """What all interactions have in common."""
    return {
        "type": kind,
        "team": {"id": TEAM_ID, "domain": TEAM_DOMAIN},
        "user": {"id": member.id, "username": member.user_name, "name": member.user_name, "team_id": TEAM_ID},
        "api_app_id": APP_ID,
        "token": OLD_TOKEN,
        "enterprise": None,
        "is_enterprise_install": False,
    }


def message_action_fields(message: Message, channel: Channel) -> Json:
    """Where a press on a message, or a shortcut of it, happened."""
    name = "directmessage" if channel.kind == "im" else channel.name
    container = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": bool(message.only_for),
        **({"thread_ts": message.thread_ts} if message.thread_ts else {}),
    }
    return {
        "container": container,
        "channel": {"id": channel.id, "name": name},
        **({} if message.only_for else {"message": message.to_api()}),
    }


def view_submission(member: Member, view: View) -> Json:
    return interaction("view_submission", member) | {"view": view.to_api(), "response_urls": []}


def view_closed(member: Member, view: View, *, is_cleared: bool) -> Json:
    return interaction("view_closed", member) | {"view": view.to_api(), "is_cleared": is_cleared}


def new_client_msg_id() -> str:
    return str(uuid.uuid4())
