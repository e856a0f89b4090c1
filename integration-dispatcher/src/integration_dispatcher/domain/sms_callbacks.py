"""What the SMS provider tells us: is it the provider, what does a status mean, what does a person's text mean. Pure.

Source: https://www.twilio.com/docs/usage/security, https://www.twilio.com/docs/messaging/guides/track-outbound-message-status,
https://help.twilio.com/articles/223134027 (the words that stop messages)"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum

# A message's states in the order in which they follow each other; the last ones are ends, and the first end holds.
UNDER_WAY = ("accepted", "scheduled", "queued", "sending", "sent")
DELIVERED = "delivered"
FAILURES = ("undelivered", "failed", "canceled")
FINAL_RANK = len(UNDER_WAY)

STOP_WORDS = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt-out"})
START_WORDS = frozenset({"start", "unstop", "yes"})
HELP_WORDS = frozenset({"help", "info"})

# Source: https://www.twilio.com/docs/api/errors
REASONS = {
    21610: "The phone has stopped messages from here (STOP).",
    30003: "The phone is switched off or cannot be reached.",
    30004: "The phone's network blocks messages from here.",
    30005: "The phone's number is not in use.",
    30006: "The number is a landline, or its network takes no SMS.",
    30007: "The phone's network has filtered the message.",
}


class Wish(StrEnum):
    STOP = "stop"
    START = "start"
    HELP = "help"
    OTHER = "other"


def signature(url: str, form: Mapping[str, str], auth_token: str) -> str:
    """The base64 of HMAC-SHA1 over the URL and all fields, sorted by name."""
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def is_signed(given: str, url: str, form: Mapping[str, str], auth_token: str) -> bool:
    """Compares in constant time. Nothing is signed without a token."""
    expected = signature(url, form, auth_token)
    return bool(auth_token) and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def rank_of(status: str) -> int | None:
    """The place of a status; None for one that says nothing about the delivery, such as `read`."""
    if status in UNDER_WAY:
        return UNDER_WAY.index(status)
    return FINAL_RANK if status == DELIVERED or status in FAILURES else None


def reason_of(code: int | None) -> str:
    """Why a message did not arrive, in words for its person."""
    known = REASONS.get(code or 0, "The phone's network did not deliver the message.")
    return f"{known} ({code})" if code else known


def wish_of(text: str, opt_out_type: str = "") -> Wish:
    """What a person's text asks for: a word of its own, as the provider reads it. `opt_out_type`: how it has read it."""
    word = (opt_out_type or text).strip().strip(".!\"'").lower()
    for wish, words in ((Wish.STOP, STOP_WORDS), (Wish.START, START_WORDS), (Wish.HELP, HELP_WORDS)):
        if word in words:
            return wish
    return Wish.OTHER
