"""API keys: `ssa_<8 hex>_<43 base64url>`. The first two parts find the row; the SHA-256 of the whole proves the key."""

import hashlib
import re
import secrets
from dataclasses import dataclass

_KEY = re.compile(r"ssa_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")
PREFIX_LENGTH = 12


@dataclass(frozen=True)
class SplitKey:
    prefix: str
    digest: bytes


def new_api_key() -> str:
    """A key with 256 random bits."""
    return f"ssa_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def looks_like_api_key(value: str) -> bool:
    return value.startswith("ssa_")


def split_api_key(value: str) -> SplitKey | None:
    """What of a key is stored; None for what is no key."""
    if not _KEY.fullmatch(value):
        return None
    return SplitKey(value[:PREFIX_LENGTH], hashlib.sha256(value.encode()).digest())
