"""The provider's rules for a message, with its own error numbers.

Source: https://www.twilio.com/docs/messaging/api/message-resource, https://www.twilio.com/docs/api/errors"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_CHARS = 1600
E164 = re.compile(r"\+[1-9]\d{7,14}")
CALLBACK = re.compile(r"https?://\S+")
STOP_WORDS = ("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout")
START_WORDS = ("start", "unstop", "yes")
HELP_WORDS = ("help", "info")
STOPPED_TEXT = "You have successfully been unsubscribed. You will not receive any more messages from this number. Reply START to resubscribe."
STARTED_TEXT = "You have successfully been re-subscribed to messages from this number. Reply HELP for help. Reply STOP to unsubscribe."
HELP_TEXT = "Reply STOP to unsubscribe. Msg&Data Rates May Apply."

# The numbers that the provider keeps for tests, each with its error.
MAGIC = {
    "+15005550001": (21211, "Invalid 'To' Phone Number: +15005550001"),
    "+15005550002": (21612, "The 'To' phone number is not currently reachable via SMS"),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region"),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (21614, "'To' number is not a valid mobile number"),
}


@dataclass(eq=False)
class ApiError(Exception):
    status: int
    code: int
    message: str
    retry_after_s: int | None = None

    @property
    def body(self) -> dict[str, object]:
        info = f"https://www.twilio.com/docs/errors/{self.code}"
        return {"code": self.code, "message": self.message, "more_info": info, "status": self.status}


def check_message(form: Mapping[str, str], number: str) -> None:
    """Raises ApiError for what the provider would refuse."""
    to, body = form.get("To", ""), form.get("Body", "")
    if not to:
        raise ApiError(400, 21604, "A 'To' phone number is required.")
    if form.get("From") != number:
        raise ApiError(
            400, 21606, "The 'From' phone number is not a valid, SMS-capable inbound phone number for your account."
        )
    if not E164.fullmatch(to):
        raise ApiError(400, 21211, f"Invalid 'To' Phone Number: {to}")
    if to == number:
        raise ApiError(400, 21266, "'To' and 'From' number cannot be the same")
    if not body:
        raise ApiError(400, 21602, "Message body is required.")
    if len(body) > MAX_CHARS:
        raise ApiError(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
    if (callback := form.get("StatusCallback", "")) and not CALLBACK.fullmatch(callback):
        raise ApiError(400, 21609, f"Invalid StatusCallback: {callback}")
    if to in MAGIC:
        code, message = MAGIC[to]
        raise ApiError(400, code, message)


def reply_to(text: str) -> str:
    """What the provider itself answers to a text; empty: nothing."""
    word = text.strip().lower()
    if word in STOP_WORDS:
        return STOPPED_TEXT
    if word in START_WORDS:
        return STARTED_TEXT
    return HELP_TEXT if word in HELP_WORDS else ""
