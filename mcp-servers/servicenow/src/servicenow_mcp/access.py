"""How this service signs in to ServiceNow: API key, basic, or OAuth client credentials.

Sources: ServiceNow, inbound REST API keys; RFC 7617; RFC 6749 section 4.4."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError

from servicenow_mcp.errors import NotAuthenticated

type SendForm = Callable[[str, dict[str, str]], Awaitable[httpx.Response]]
"""Posts a form to a URL and returns the answer, read and bounded. Raises ServiceNowFault."""

RENEW_BEFORE_S = 30.0


class Access(Protocol):
    """What a call needs to be let in."""

    async def headers(self, send_form: SendForm) -> dict[str, str]:
        """Return the headers of one call. Raises ServiceNowFault when no token can be had."""
        ...

    def refused(self) -> bool:
        """ServiceNow answered 401. True when one more try with other credentials makes sense."""
        ...


@dataclass(frozen=True)
class ApiKey:
    header: str
    key: SecretStr

    async def headers(self, send_form: SendForm) -> dict[str, str]:
        return {self.header: self.key.get_secret_value()}

    def refused(self) -> bool:
        return False


@dataclass(frozen=True)
class Basic:
    username: str
    password: SecretStr

    async def headers(self, send_form: SendForm) -> dict[str, str]:
        pair = f"{self.username}:{self.password.get_secret_value()}".encode()
        return {"authorization": "Basic " + base64.b64encode(pair).decode()}

    def refused(self) -> bool:
        return False


class TokenAnswer(BaseModel):
    """The token endpoint's answer. Source: RFC 6749 section 5.1."""

    access_token: str = Field(min_length=1, max_length=8192)
    expires_in: float = Field(default=300, ge=0)


@dataclass
class OAuth:
    """Client credentials; the token is kept until shortly before its end and fetched by one call at a time."""

    token_url: str
    client_id: str
    client_secret: SecretStr
    clock: Callable[[], float] = time.monotonic
    _token: str = ""
    _renew_at: float = 0.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def headers(self, send_form: SendForm) -> dict[str, str]:
        async with self._lock:
            if not self._token or self.clock() >= self._renew_at:
                await self._fetch(send_form)
            return {"authorization": f"Bearer {self._token}"}

    def refused(self) -> bool:
        """Forget the token: it may have been revoked. True when there was one to forget."""
        had_one, self._token = bool(self._token), ""
        return had_one

    async def _fetch(self, send_form: SendForm) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret.get_secret_value(),
        }
        reply = await send_form(self.token_url, form)
        if reply.status_code != httpx.codes.OK:
            raise NotAuthenticated(f"the token endpoint answered {reply.status_code}")
        try:
            answer = TokenAnswer.model_validate_json(reply.content)
        except ValidationError as exc:
            raise NotAuthenticated("the token endpoint's answer holds no token") from exc
        self._token = answer.access_token
        self._renew_at = self.clock() + max(answer.expires_in - RENEW_BEFORE_S, 0.0)
