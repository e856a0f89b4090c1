"""What a person wrote in Slack, as they saw it: without Slack's escapes and control sequences. Pure.

Source: https://docs.slack.dev/messaging/formatting-message-text#retrieving-messages"""

import re

_SPECIAL = re.compile(r"<([@#!][^<>]*|[a-z]+:[^<>\s|]+(?:\|[^<>]*)?)>")
_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


def plain(text: str, bot: str = "") -> str:
    """Mentions of the app's own user are left out; links show their address, people and channels a name or id."""
    without_bot = re.sub(rf"<@{re.escape(bot)}(\|[^<>]*)?>[:,]?", " ", text) if bot else text
    shown = _SPECIAL.sub(lambda found: _shown(found.group(1)), without_bot)
    for escape, sign in _ESCAPES:
        shown = shown.replace(escape, sign)
    return shown.strip()


def is_for_somebody_else(text: str, bot: str) -> bool:
    """It begins by calling another member."""
    called = re.match(r"\s*<@([A-Z0-9]+)(\|[^<>]*)?>", text)
    return called is not None and called.group(1) != bot


def _shown(inside: str) -> str:
    body, _, label = inside.partition("|")
    if body.startswith("@"):
        return f"@{label or body[1:]}"
    if body.startswith("#"):
        return f"#{label or body[1:]}"
    if body.startswith("!"):
        return label or f"@{body[1:].partition('^')[0]}"
    address = body.removeprefix("mailto:").removeprefix("tel:")
    return address if label in ("", address, body) else f"{label} ({address})"
