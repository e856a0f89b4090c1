"""A provider's words as they may be stored and shown: short, one line, nothing that looks like a secret. Pure."""

import re

MAX_LENGTH = 300
HIDDEN = "***"

_SECRETS = re.compile(
    r"whsec_[A-Za-z0-9+/=_-]+"
    r"|\bssa_[0-9a-f]{8}_[A-Za-z0-9_-]+"
    r"|\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+"
    r"|\bv1,[A-Za-z0-9+/=]{16,}"
    r"|(?<=://)[^/\s@]+@"
    r"|[A-Za-z0-9+/_=-]{32,}"
)
_NAMED = re.compile(
    r"(?i)\b(bearer|basic)\s+\S+"
    r"|\b([\w-]*(?:authorization|password|passwd|secret|token|api[_-]?key|signature|cookie)[\w-]*)"
    r"(\"?'?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|(?:(?:bearer|basic|token)\s+)?[^\s,;&}]+)"
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")


def safe_words(raw: bytes | str) -> str:
    """At most 300 characters of what a provider said, on one line, with secrets hidden."""
    known = raw[: MAX_LENGTH * 8]
    data = known.encode("utf-8", errors="replace") if isinstance(known, str) else known
    text = _UNPRINTABLE.sub(" ", data.decode("utf-8", errors="replace"))
    text = _NAMED.sub(_hide_value, text)
    text = _SECRETS.sub(HIDDEN, text)
    text = " ".join(text.split())
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"


def safe_id(raw: str) -> str:
    """A provider's name for a message: on one line, bounded. It may look like a secret (32 hexadecimal digits) and is none."""
    return "".join(_UNPRINTABLE.sub(" ", raw).split())[:MAX_LENGTH]


def _hide_value(found: "re.Match[str]") -> str:
    if found.group(1):
        return f"{found.group(1)} {HIDDEN}"
    return f"{found.group(2)}{found.group(3)}{HIDDEN}"
