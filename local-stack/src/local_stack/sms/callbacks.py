"""The provider's calls to the customer: signed forms. Source: https://www.twilio.com/docs/usage/security"""

import base64
import hashlib
import hmac
from collections.abc import Mapping

import httpx

TIMEOUT_S = 15.0


def signature(url: str, form: Mapping[str, str], auth_token: str) -> str:
    text = url
    for name, value in sorted(form.items()):
        text += name + value
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


async def post(http: httpx.AsyncClient, url: str, form: Mapping[str, str], auth_token: str) -> httpx.Response | None:
    """One signed call; None when nobody answered. The provider calls once, and does not come again."""
    headers = {"x-twilio-signature": signature(url, form, auth_token), "user-agent": "TwilioProxy/1.1"}
    try:
        return await http.post(url, data=dict(form), headers=headers, timeout=TIMEOUT_S)
    except httpx.TransportError:
        return None
