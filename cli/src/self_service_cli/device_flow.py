"""Signing in on another device. Sources: OpenID Connect Discovery 1.0; RFC 8628 (device authorization), RFC 6749 section 6."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from self_service_cli.connection import check_address, is_loopback
from self_service_cli.failures import UNREACHABLE, ExitCode, Failure, usage
from self_service_cli.fetching import fetch
from self_service_cli.keyring_store import SavedLogin

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SLOW_DOWN_S = 5.0
MAX_INTERVAL_S = 60.0
RENEW_BEFORE_S = 60.0

type Sleep = Callable[[float], Awaitable[None]]
type Now = Callable[[], float]


@dataclass(frozen=True)
class Client:
    """How this program is registered at the issuer."""

    issuer: str
    client_id: str
    scope: str
    audience: str = ""


class Reply(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Discovery(Reply):
    issuer: str
    token_endpoint: str
    device_authorization_endpoint: str = ""


class DeviceCode(Reply):
    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str = ""
    expires_in: float = Field(gt=0)
    interval: float = Field(default=5, ge=0)


class Tokens(Reply):
    access_token: str
    id_token: str = ""
    refresh_token: str = ""
    expires_in: float = 0

    @property
    def bearer(self) -> str:
        """What the server can check: a signed token. Some issuers' access tokens are none; then the identity token is."""
        return self.access_token if self.access_token.count(".") == 2 or not self.id_token else self.id_token


@dataclass(frozen=True)
class DeviceFlow:
    http: httpx.AsyncClient
    sleep: Sleep
    now: Now

    async def sign_in(self, client: Client, show: Callable[[DeviceCode], None]) -> SavedLogin:
        """Show the code and wait until the person has entered it. Raises Failure (auth, timeout, usage)."""
        about = await self._discover(client.issuer)
        code = await self._device_code(client, about)
        show(code)
        tokens = await self._poll(client, about.token_endpoint, code)
        return self._login(tokens, about.token_endpoint, client.client_id)

    async def renew(self, login: SavedLogin) -> SavedLogin:
        """The login itself while its token lives, else with a new one. Raises Failure (auth) when it cannot be renewed."""
        if not login.expires_at or self.now() < login.expires_at - RENEW_BEFORE_S:
            return login
        if not login.refresh_token:
            raise _signed_out()
        form = {"grant_type": "refresh_token", "refresh_token": login.refresh_token, "client_id": login.client_id}
        status, body = await self._post(login.token_endpoint, form)
        if status != 200:
            raise _signed_out()
        fresh = self._login(_read(Tokens, body, "token"), login.token_endpoint, login.client_id)
        # An issuer that does not rotate refresh tokens sends none: the old one stays good.
        return fresh if fresh.refresh_token else fresh.model_copy(update={"refresh_token": login.refresh_token})

    async def _discover(self, issuer: str) -> Discovery:
        _check_endpoint(issuer, "--issuer")
        issuer = issuer.rstrip("/")
        status, body = await self._send("GET", issuer + "/.well-known/openid-configuration")
        if status != 200:
            raise Failure(f"{issuer} is no OpenID Connect issuer (status {status}).", hint="Check --issuer.")
        about = _read(Discovery, body, "discovery")
        if about.issuer.rstrip("/") != issuer:
            raise Failure(
                f"{issuer} calls itself {about.issuer}.", hint="Give --issuer exactly as the issuer writes it."
            )
        if not about.device_authorization_endpoint:
            raise Failure(
                f"{issuer} offers no sign-in on another device.",
                hint="Switch the device flow on for this client, or set SSA_TOKEN to an API key (ssa keys create).",
            )
        return about

    async def _device_code(self, client: Client, about: Discovery) -> DeviceCode:
        form = {"client_id": client.client_id, "scope": client.scope}
        if client.audience:
            form["audience"] = client.audience
        status, body = await self._post(about.device_authorization_endpoint, form)
        if status != 200:
            raise _denied(body, "The issuer gave no code")
        return _read(DeviceCode, body, "device")

    async def _poll(self, client: Client, endpoint: str, code: DeviceCode) -> Tokens:
        """Ask until there is a token, as slowly as the issuer wants (RFC 8628 section 3.5)."""
        form = {"grant_type": DEVICE_GRANT, "device_code": code.device_code, "client_id": client.client_id}
        interval, end = code.interval, self.now() + code.expires_in
        while self.now() < end:
            await self.sleep(interval)
            status, body = await self._patiently(endpoint, form)
            if status >= 500:
                interval = min(max(interval, 1) * 2, MAX_INTERVAL_S)
                continue
            if status == 200:
                return _read(Tokens, body, "token")
            match body.get("error"):
                case "authorization_pending":
                    pass
                case "slow_down":
                    interval += SLOW_DOWN_S
                case "expired_token":
                    break
                case _:
                    raise _denied(body, "The issuer refused the sign-in")
        raise Failure("The code has expired.", ExitCode.TIMEOUT, code="expired_token", hint="Run `ssa login` again.")

    async def _patiently(self, endpoint: str, form: Mapping[str, str]) -> tuple[int, dict[str, object]]:
        """As `_post`; no answer counts as one with status 504."""
        try:
            return await self._post(endpoint, form)
        except Failure as failure:
            if failure.exit_code is ExitCode.TIMEOUT or failure.code == UNREACHABLE:
                return 504, {}
            raise

    def _login(self, tokens: Tokens, token_endpoint: str, client_id: str) -> SavedLogin:
        return SavedLogin(
            token=tokens.bearer,
            refresh_token=tokens.refresh_token,
            expires_at=self.now() + tokens.expires_in if tokens.expires_in else 0,
            token_endpoint=token_endpoint,
            client_id=client_id,
        )

    async def _post(self, url: str, form: Mapping[str, str]) -> tuple[int, dict[str, object]]:
        _check_endpoint(url, "The issuer's endpoint")
        return await self._send("POST", url, form)

    async def _send(
        self, method: str, url: str, form: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, object]]:
        """Status and JSON object of a reply, an empty one if it is none. Raises Failure when no reply comes."""
        reply = await fetch(self.http, method, url, form=form)
        return reply.status, _object(reply.content)


def _check_endpoint(url: str, given_by: str) -> None:
    """Tokens travel here: encrypted, or on this machine."""
    check_address(url, given_by)
    if not url.startswith("https://") and not is_loopback(url):
        raise usage(f"{given_by} must begin with https://.")


def _object(content: bytes) -> dict[str, object]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _read[T: Reply](model: type[T], body: dict[str, object], what: str) -> T:
    try:
        return model.model_validate(body)
    except ValidationError:
        raise Failure(f"The issuer's {what} answer could not be read.", code="bad_issuer") from None


def _denied(body: dict[str, object], what: str) -> Failure:
    """Also the issuer's own words, if it sent any (RFC 6749 section 5.2)."""
    error, words = str(body.get("error") or ""), str(body.get("error_description") or "")
    if error == "access_denied":
        return Failure("The sign-in was declined.", ExitCode.AUTH, code=error, hint="Run `ssa login` to try again.")
    told = ": ".join(part[:200] for part in (error, words) if part)
    hint = (
        "Check --client-id and --scope." if error in ("invalid_client", "unauthorized_client", "invalid_scope") else ""
    )
    return Failure(f"{what}{': ' + told if told else ''}.", ExitCode.AUTH, code=error or "login_failed", hint=hint)


def _signed_out() -> Failure:
    return Failure("Your login has ended.", ExitCode.AUTH, code="login_ended", hint="Run `ssa login` again.")
