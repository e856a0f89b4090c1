"""Who is let in to the stand-in: API key, basic, or a bearer token of its own token endpoint."""

import base64
import binascii
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from local_stack.servicenow.settings import StandinSettings

TOKEN_LIFETIME_S = 1800


@dataclass
class Doorman:
    settings: StandinSettings
    tokens: dict[str, float] = field(default_factory=dict)

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        if _equal(headers.get(self.settings.api_key_header.lower(), ""), self.settings.api_key):
            return True
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        match scheme.lower():
            case "basic":
                return self._is_user(credentials)
            case "bearer":
                return self.tokens.get(credentials, 0.0) > time.monotonic()
        return False

    def issue(self, form: Mapping[str, str]) -> dict[str, object] | None:
        """Return a new token for client credentials, or None when they are wrong. Source: RFC 6749 section 4.4."""
        is_client = hmac.compare_digest(form.get("client_id", "").encode(), self.settings.client_id.encode())
        is_known = is_client and _equal(form.get("client_secret", ""), self.settings.client_secret)
        if form.get("grant_type") != "client_credentials" or not is_known:
            return None
        token = secrets.token_urlsafe(32)
        self.tokens[token] = time.monotonic() + TOKEN_LIFETIME_S
        return {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFETIME_S, "scope": "useraccount"}

    def revoke_all(self) -> None:
        self.tokens.clear()

    def _is_user(self, credentials: str) -> bool:
        try:
            name, _, word = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        is_name = hmac.compare_digest(name.encode(), self.settings.username.encode())
        return is_name and _equal(word, self.settings.password)


def _equal(given: str, secret: SecretStr) -> bool:
    """Compare in constant time; an unset secret equals nothing."""
    wanted = secret.get_secret_value()
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())
