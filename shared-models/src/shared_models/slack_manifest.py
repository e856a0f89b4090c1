"""What the Slack app is: the manifest it is made from, with the least scopes and events. Pure.

Source: https://docs.slack.dev/reference/app-manifest"""

from typing import Any

DEFAULT_NAME, DEFAULT_COMMAND = "IT self-service", "/it"
ASK_SHORTCUT = "ssa_ask"
"""The callback id of the shortcut in the menu of a message."""

MAX_NAME_LENGTH, MAX_BOT_NAME_LENGTH = 35, 80

SCOPES: dict[str, str] = {
    "app_mentions:read": "to hear of it when somebody mentions the app",
    "assistant:write": "to show that the agent works, with a button to stop it",
    "channels:history": "to read the public thread that the app is called into, and follow-ups in its own threads",
    "chat:write": "to answer",
    "commands": "the slash command, and the shortcut in the menu of a message",
    "groups:history": "the same as channels:history, in private channels that invited the app",
    "im:history": "to read direct messages to the app",
    "im:write": "to open a direct message with a person",
    "reactions:write": "to mark a message that is being worked on",
    "users:read": "to look members up",
    "users:read.email": "to know people by the e-mail address that the workspace has verified",
}
"""Each scope with the reason for it."""

EVENTS = ("agent_session_stopped", "app_mention", "message.channels", "message.groups", "message.im")


def manifest(
    url: str, *, name: str = DEFAULT_NAME, command: str = DEFAULT_COMMAND, socket: bool = False
) -> dict[str, Any]:
    """`url`: where Slack reaches integration-dispatcher; with `socket` (Socket Mode) it reaches nothing, and needs none."""
    base = url.rstrip("/")
    slash: dict[str, Any] = {
        "command": command,
        "description": "Ask IT; the answer comes as a direct message",
        "usage_hint": "my laptop is slow",
        "should_escape": True,
    }
    events: dict[str, Any] = {"bot_events": list(EVENTS)}
    interactivity: dict[str, Any] = {"is_enabled": True}
    if not socket:
        slash["url"] = f"{base}/slack/commands"
        events["request_url"] = f"{base}/slack/events"
        interactivity["request_url"] = f"{base}/slack/interactive"
    return {
        "display_information": {"name": name[:MAX_NAME_LENGTH], "description": "AI agents that help with IT"},
        "features": {
            "agent_view": {
                "agent_description": "Answers questions about IT and orders what your company allows.",
                "suggested_prompts": [
                    {"title": "A new laptop", "message": "I need a new laptop"},
                    {"title": "What can you do?", "message": "help"},
                ],
            },
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name[:MAX_BOT_NAME_LENGTH], "always_online": True},
            "shortcuts": [
                {
                    "name": "Ask IT",
                    "type": "message",
                    "callback_id": ASK_SHORTCUT,
                    "description": "Ask with the words of this message; the answer comes as a direct message",
                }
            ],
            "slash_commands": [slash],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": events,
            "interactivity": interactivity,
            "org_deploy_enabled": False,
            "socket_mode_enabled": socket,
            "token_rotation_enabled": False,
        },
    }
