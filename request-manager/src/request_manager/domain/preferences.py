"""The headers with which a caller shapes a reply. Source: RFC 7240 (Prefer), draft-ietf-httpapi-idempotency-key-header."""

from dataclasses import dataclass

from shared_models.errors import InvalidRequest

MAX_KEY_LENGTH = 255


@dataclass(frozen=True)
class Preference:
    """How long a caller waits for the answer; `applied` is what of Prefer was taken, for Preference-Applied."""

    wait_s: float
    applied: str = ""


def read_prefer(header: str, *, default_s: float, max_s: float) -> Preference:
    """`respond-async`: not at all; `wait=N`: N seconds, at most `max_s`; both: N seconds, then 202. The rest is ignored."""
    wait_s: float | None = None
    is_async = False
    for part in header.split(","):
        name, _, value = part.split(";")[0].partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "respond-async":
            is_async = True
        elif name.strip().lower() == "wait" and value.isascii() and value.isdigit() and wait_s is None:
            wait_s = min(float(value[:9]), max_s)
    applied = (["respond-async"] if is_async else []) + ([f"wait={wait_s:.0f}"] if wait_s is not None else [])
    if wait_s is None:
        wait_s = 0.0 if is_async else default_s
    return Preference(wait_s, ", ".join(applied))


def read_idempotency_key(header: str | None) -> str | None:
    """The key, or None without the header. Raises InvalidRequest for an empty, long or unprintable one."""
    if header is None:
        return None
    if not header or len(header) > MAX_KEY_LENGTH or not all("\x20" <= character <= "\x7e" for character in header):
        raise InvalidRequest(f"Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable ASCII characters.")
    return header
