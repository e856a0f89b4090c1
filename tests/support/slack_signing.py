"""Slack's signature, as Slack makes it."""

import hashlib
import hmac
import time


def sign(body: bytes, *, secret: str, at: float | None = None) -> dict[str, str]:
    """The headers with which Slack signs. Source: https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    timestamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"x-slack-request-timestamp": timestamp, "x-slack-signature": f"v0={digest}"}
