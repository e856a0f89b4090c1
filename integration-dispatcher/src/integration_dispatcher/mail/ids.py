"""Message-IDs of ours: each names its session, so that an answer to the mail goes on with it. Pure.

The id is no proof of anything: request-manager lets a session be continued by its owner alone."""

import re
from collections.abc import Iterable
from uuid import UUID

MAX_IDS = 100
MAX_ID_LENGTH = 998

_ID = re.compile(r"<[^<>\s]{1,996}>")
_OURS = re.compile(r"<(?:([0-9a-f]{32})(?:-(\d{1,4}))?\.)?([0-9a-f]{32})@([a-z0-9.-]{1,255})>", re.IGNORECASE)


def message_id(delivery_key: str, session_id: UUID, domain: str) -> str:
    """`delivery_key`: that of the message, the same on every try: a UUID, and after a point which part it is."""
    delivery, _, part = delivery_key.partition(".")
    return f"<{UUID(delivery).hex}{'-' + part if part else ''}.{session_id.hex}@{domain}>"


def session_root(session_id: UUID, domain: str) -> str:
    """An id that no mail has: mail programs show all that refers to it as one thread."""
    return f"<{session_id.hex}@{domain}>"


def session_of(ids: Iterable[str], domain: str) -> UUID | None:
    """The session of the last id of ours."""
    found = [each for each in map(_OURS.fullmatch, ids) if each and each[4].lower() == domain.lower()]
    return UUID(found[-1][3]) if found else None


def deliveries_in(text: str, domain: str) -> list[UUID]:
    """The deliveries whose Message-ID stands in a text, each once."""
    found = [UUID(each[1]) for each in _OURS.finditer(text) if each[1] and each[4].lower() == domain.lower()]
    return list(dict.fromkeys(found))


def ids_in(header: str) -> list[str]:
    """What stands in angle brackets in References, In-Reply-To or Message-ID: the first one and the last 99."""
    found = _ID.findall(header)
    return found if len(found) <= MAX_IDS else [found[0], *found[-(MAX_IDS - 1) :]]
