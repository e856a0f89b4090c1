"""An answer as SMS: plain text that stays in the cheap alphabet where it can, at most three segments, then a link. Pure.

Imported only where SMS is set up: phonenumbers and markdown-it cost time and memory."""

import unicodedata
from bisect import bisect_right

import phonenumbers

from integration_dispatcher.domain.plain_text import plain
from integration_dispatcher.domain.sms_size import size_of

MAX_SEGMENTS = 3
LOOK_BACK_CHARS = 40
CUT = "..."


class NoPhoneNumber(ValueError):
    """The text is no phone number that can exist, in words for the person."""


def phone_number(text: str) -> str:
    """A number in E.164 (+14155550100). Raises NoPhoneNumber. Source: ITU-T E.164."""
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as exc:
        raise NoPhoneNumber("write the number with + and the country code, such as +14155550100") from exc
    if number.extension or not phonenumbers.is_possible_number(number):
        raise NoPhoneNumber("there is no such number: look at the country code and the number of digits")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def sms_text(markdown: str, link: str) -> str:
    """The text to send: whole, or cut at a word with `link` behind it."""
    text = plain(markdown)
    if size_of(text).segments <= MAX_SEGMENTS:
        return text
    tail = f"{CUT} {link}" if link else CUT
    head = text[: _longest_head(text, tail)]
    return head[: _end_of_word(head, text)].rstrip() + tail


def _longest_head(text: str, tail: str) -> int:
    """How many characters fit before the tail: a longer head never takes less room."""
    return bisect_right(range(len(text)), MAX_SEGMENTS, key=lambda n: size_of(text[:n].rstrip() + tail).segments) - 1


def _end_of_word(head: str, text: str) -> int:
    """Where to cut: after the last whole word, or, where words have no spaces, not inside one character."""
    if text[len(head) : len(head) + 1].isspace():
        return len(head)
    space = max(head.rfind(" "), head.rfind("\n"))
    if space > len(head) - LOOK_BACK_CHARS and space > 0:
        return space
    end = len(head)
    while end > 1 and (_joins(text[end : end + 1]) or text[end - 1] == "\u200d"):
        end -= 1
    return end


def _joins(character: str) -> bool:
    """True for what belongs to the character before it: accents, joiners, skin tones."""
    return bool(character) and (
        unicodedata.category(character) in ("Mn", "Me", "Mc", "Cf") or "\U0001f3fb" <= character <= "\U0001f3ff"
    )
