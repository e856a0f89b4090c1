"""Is a webhook's signature that of its secret? Source: https://www.standardwebhooks.com/ (specification 1.0.0)"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

TOLERANCE_S = 300
PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """Raises ValueError for what is no secret."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as exc:
        raise ValueError("a secret is whsec_ and base64") from exc
    if not secret.startswith(PREFIX) or not key:
        raise ValueError("a secret is whsec_ and base64")
    return key


def verdict(headers: Mapping[str, str], body: bytes, secret: str, now_s: float) -> str:
    """`verified`, or what is wrong."""
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    if not message_id or not stamp or not given:
        return "not signed"
    if not stamp.isdigit() or abs(now_s - int(stamp)) > TOLERANCE_S:
        return "signed at another time"
    signed = f"{message_id}.{stamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()
    is_right = any(hmac.compare_digest(each.encode(), expected.encode()) for each in given.split())
    return "verified" if is_right else "wrong signature"
