"""Who has sent a mail: only what our own mail server says of it counts. Pure.

Source: RFC 8601 (Authentication-Results), RFC 7489 (DMARC)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_HEADER_LENGTH = 8_000
MAX_COMMENT_DEPTH = 20

_RESULT = re.compile(r"\s*([A-Za-z0-9_-]+)(?:\s*/\s*\d+)?\s*=\s*([A-Za-z0-9_-]+)")
_REASON = re.compile(r"\breason\s*=\s*(?:\"[^\"]*\"|\S+)", re.IGNORECASE)
_PROPERTY = re.compile(r"(?<!\S)([A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+)\s*=\s*(\"[^\"]*\"|[^\s;\"]+)")


@dataclass(frozen=True)
class Verdict:
    """`doubt`: why the sender is not believed, in words for operators; empty when they are."""

    doubt: str = ""

    @property
    def is_verified(self) -> bool:
        return not self.doubt


def judge(results: Sequence[str], sender: str, trusted: str) -> Verdict:
    """`results`: the Authentication-Results headers from the top of the mail; `sender`: the one address of From, or empty.

    Only the topmost header of our own server is read: it stands above all that came with the mail. A header that names
    our server further down may be anybody's, and so may one that names another."""
    if not sender:
        return Verdict("the mail does not have one sender")
    own = next((each for each in map(_parts, results) if each and _server(each[0]) == trusted.lower()), None)
    if own is None:
        return Verdict("our mail server has said nothing about the sender")
    dmarc = [each for each in own[1:] if _method(each)[0] == "dmarc"]
    if not dmarc:
        return Verdict("our mail server has not checked DMARC")
    if any(_method(each)[1] != "pass" for each in dmarc):
        return Verdict("DMARC did not pass")
    domain = sender.rpartition("@")[2].lower().rstrip(".")
    if any(_property(each, "header.from") != domain for each in dmarc):
        return Verdict("DMARC passed for another domain")
    return Verdict()


def _parts(header: str) -> list[str] | None:
    """The server's name and each result, without comments; None for a header that is not well formed or too long."""
    if len(header) > MAX_HEADER_LENGTH:
        return None
    found, current, depth, is_quoted = [], "", 0, False
    characters = iter(header)
    for each in characters:
        if each == "\\" and (depth or is_quoted):
            next(characters, "")
        elif is_quoted:
            is_quoted = each != '"'
            current += each
        elif each == "(":
            depth += 1
        elif each == ")" and depth:
            depth -= 1
        elif depth:
            continue
        elif each == ";":
            found.append(current)
            current = ""
        else:
            is_quoted = each == '"'
            current += each
        if depth > MAX_COMMENT_DEPTH:
            return None
    return None if depth or is_quoted else [*found, current]


def _server(part: str) -> str:
    """The name, without the version that may follow it."""
    words = part.split()
    return words[0].strip('"').lower() if words else ""


def _method(part: str) -> tuple[str, str]:
    found = _RESULT.match(part)
    return (found[1].lower(), found[2].lower()) if found else ("", "")


def _property(part: str, name: str) -> str:
    """Empty when it is missing, or given more than once."""
    values = [value.strip('"') for key, value in _PROPERTY.findall(_REASON.sub("", part)) if key.lower() == name]
    return values[0].lower().rstrip(".").rpartition("@")[2] if len(values) == 1 else ""
