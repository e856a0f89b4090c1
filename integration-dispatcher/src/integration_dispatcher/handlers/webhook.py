"""Webhooks: one signed POST per answer. Source: https://www.standardwebhooks.com/ (specification 1.0.0)."""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from shared_models.enums import RequestStatus
from shared_models.errors import InvalidRequest
from shared_models.events import TYPE_PREFIX, EventType
from shared_models.schemas import AgentResponse, ErrorInfo, Metadata, RequestResult
from standardwebhooks.webhooks import Webhook

from integration_dispatcher.domain.addresses import AddressRefused
from integration_dispatcher.domain.redaction import safe_words
from integration_dispatcher.domain.schedule import Schedule
from integration_dispatcher.domain.selection import Defaults
from integration_dispatcher.domain.templates import words
from integration_dispatcher.guarded_http import GuardedHttp, NoAnswer, Reply
from integration_dispatcher.handlers.base import (
    Delivered,
    DeliveryDelayed,
    DeliveryRejected,
    IntegrationConfig,
    Message,
    Notice,
    Settled,
)

# Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md (deliverability).
STEPS_S = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
VERIFY_TYPE = "webhook.verify"
MESSAGE_TYPE = EventType.RESPONSE_READY.removeprefix(TYPE_PREFIX)
MAX_BODY_BYTES = 20_000
SECRET_PREFIX = "whsec_"  # noqa: S105  # the marker of the format, no secret
NEW_SECRET_BYTES = 32
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
OLD_SECRET_FOR = timedelta(hours=24)
MAX_SECRETS = 3
GONE = 410


class Secret(BaseModel):
    """`until`: an old one still signs beside the new one up to then; None: the present one."""

    model_config = ConfigDict(frozen=True)

    value: str
    until: datetime | None = None


class WebhookConfig(IntegrationConfig):
    url: str = ""
    secrets: list[Secret] = Field(default_factory=list)


class WebhookChange(BaseModel):
    """What a person may send as `config`. Without `url`: the one that is there."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: str = ""
    secret: str | None = None
    rotate_secret: bool = False


class WebhookIntegrationHandler:
    config_type = WebhookConfig
    defaults = Defaults(enabled=True, priority=3, retry_count=len(STEPS_S), retry_delay_s=STEPS_S[0])
    schedule = Schedule(growth=1, cap_s=36_000, expires_after_s=31 * 3600, steps_s=STEPS_S)

    def __init__(self, http: GuardedHttp, *, public_url: str) -> None:
        self._http = http
        self._public_url = public_url.rstrip("/")

    def is_set_up(self, config: Metadata) -> bool:
        return bool(config.get("url"))

    def settle(self, given: Metadata, known: IntegrationConfig | None, now: datetime) -> Settled:
        """A secret belongs to one URL: another URL gets a new one, unless one is given."""
        assert known is None or isinstance(known, WebhookConfig)
        change = self._read(given)
        url = change.url or (known.url if known else "")
        self._check_url(url)
        kept = [each for each in known.secrets if is_valid(each, now)] if known and known.url == url else []
        fresh = change.secret or (new_secret() if change.rotate_secret or not kept else "")
        values = rotated(kept, fresh, now) if fresh else kept
        return Settled(
            shown={"url": url},
            hidden={"secrets": [each.model_dump(mode="json") for each in values]},
            new_secret=fresh if fresh and not change.secret else None,
        )

    def _read(self, given: Metadata) -> WebhookChange:
        try:
            change = WebhookChange.model_validate(given)
        except ValidationError as exc:
            fields = ", ".join(sorted({f"config.{error['loc'][0]}" for error in exc.errors() if error["loc"]}))
            raise InvalidRequest(f"{fields}: a webhook has url, and may have secret and rotate_secret") from exc
        if change.secret is not None:
            check_secret(change.secret)
        return change

    def _check_url(self, url: str) -> None:
        if not url:
            raise InvalidRequest("config.url: say where the webhook is")
        try:
            self._http.policy.check_url(url)
        except AddressRefused as exc:
            raise InvalidRequest(f"config.url: {exc}") from exc

    def address(self, config: Metadata) -> str:
        return str(config.get("url", ""))

    def target(self, answer: AgentResponse, user_id: UUID, config: Metadata) -> str:
        """The origin and a short hash of person and URL: the path may itself be a secret."""
        url = str(config.get("url", ""))
        parts = urlsplit(url)
        digest = hashlib.sha256(f"{user_id} {url}".encode()).hexdigest()[:16]
        return f"{parts.scheme}://{parts.netloc[:150]}#{digest}"

    def parts(self, answer: AgentResponse, config: Metadata) -> list[str]:
        """One JSON body. An answer that makes it larger than 20 kB is left out: the receiver follows `result_url`."""
        result = result_of(answer)
        body = self._body(result)
        if len(body) > MAX_BODY_BYTES:
            url = f"{self._public_url}/api/v1/requests/{answer.request_id}/result"
            thin = result.model_copy(update={"response": None, "metadata": {}})
            body = self._body(thin, result_url=url)
        return [body.decode()]

    def _body(self, result: RequestResult, **more: str) -> bytes:
        data = result.model_dump(mode="json", exclude={"deliveries"}) | more
        return orjson.dumps({"type": MESSAGE_TYPE, "timestamp": data["completed_at"], "data": data})

    async def deliver(self, message: Message, config: IntegrationConfig) -> Delivered:
        assert isinstance(config, WebhookConfig)
        reply = await self._post(config, Signed(message.id, message.body, message.sent_at))
        return read_reply(reply, message.sent_at)

    async def notify(self, notice: Notice, config: IntegrationConfig) -> bool:
        """A signed `webhook.verify` event: a receiver proves itself at once by answering with its `challenge`."""
        assert isinstance(config, WebhookConfig)
        data = {"challenge": notice.challenge, "code": notice.code, "text": notice.text}
        event = {"type": VERIFY_TYPE, "timestamp": notice.sent_at.isoformat(), "data": data}
        signed = Signed(notice.id, orjson.dumps(event).decode(), notice.sent_at)
        reply = await self._post(config, signed, reads_body=True)
        read_reply(reply, notice.sent_at)
        return has_echoed(reply.words, notice.challenge)

    async def probe(self) -> None:
        """Every receiver is another one: there is no account."""

    async def _post(self, config: WebhookConfig, signed: "Signed", *, reads_body: bool = False) -> Reply:
        headers = signed_headers(signed, config)
        try:
            return await self._http.post(config.url, signed.body.encode(), headers, reads_body=reads_body)
        except AddressRefused as exc:
            raise DeliveryRejected(str(exc)) from exc
        except NoAnswer as exc:
            raise DeliveryDelayed(str(exc)) from exc


def result_of(answer: AgentResponse) -> RequestResult:
    """How the request ended, as its caller would read it; an end without an error says in words what happened."""
    error = answer.error
    if error is None and answer.status is not RequestStatus.COMPLETED:
        error = ErrorInfo(code=answer.status.value, message=words(answer))
    return RequestResult(
        request_id=answer.request_id,
        session_id=answer.session_id,
        status=answer.status,
        integration_type=answer.integration_type,
        created_at=answer.created_at,
        completed_at=answer.ended_at,
        processing_time_ms=max(0, round((answer.ended_at - answer.created_at).total_seconds() * 1000)),
        response=answer.response if answer.status is RequestStatus.COMPLETED else None,
        error=error,
        metadata=answer.metadata,
    )


@dataclass(frozen=True)
class Signed:
    """What one POST carries."""

    id: str
    body: str
    sent_at: datetime


def has_echoed(body: bytes, challenge: str) -> bool:
    """True for a JSON object with the challenge at its top. A server that only returns what it got does not pass."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(said, dict) and said.get("challenge") == challenge


def signed_headers(message: Signed, config: WebhookConfig) -> dict[str, str]:
    """The id is the same on every try, the time is that of this one; while secrets change, each signs."""
    valid = [each for each in config.secrets if is_valid(each, message.sent_at)]
    signatures = [Webhook(each.value).sign(message.id, message.sent_at, message.body) for each in valid]
    return {
        "content-type": "application/json",
        "user-agent": "self-service-agent-webhook/1",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(message.sent_at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def read_reply(reply: Reply, now: datetime) -> Delivered:
    """2xx is delivered, 410 means never again, all else (3xx too) is tried again. Raises DeliveryDelayed, DeliveryRejected."""
    if 200 <= reply.status < 300:
        return Delivered(code=reply.status)
    said = safe_words(reply.words)
    if reply.status == GONE:
        reason = "The receiver is gone for good (410); this webhook was switched off."
        raise DeliveryRejected(reason, code=GONE, words=said, disables=True)
    reason = f"The receiver answered {reply.status}."
    raise DeliveryDelayed(reason, code=reply.status, words=said, retry_after_s=seconds(reply.retry_after, now))


def seconds(retry_after: str, now: datetime) -> float | None:
    """Retry-After as seconds from now: a number or an HTTP date; None when it is neither. Source: RFC 9110 section 10.2.3."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(NEW_SECRET_BYTES)).decode()


def check_secret(value: str) -> None:
    """Raises InvalidRequest, without the value."""
    try:
        size = len(base64.b64decode(value.removeprefix(SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not value.startswith(SECRET_PREFIX) or not MIN_SECRET_BYTES <= size <= MAX_SECRET_BYTES:
        raise InvalidRequest(
            f"config.secret: {SECRET_PREFIX} and the base64 of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} random bytes"
        )


def rotated(kept: list[Secret], fresh: str, now: datetime) -> list[Secret]:
    """The new secret first; those before it go on for a day."""
    old = [Secret(value=each.value, until=each.until or now + OLD_SECRET_FOR) for each in kept if each.value != fresh]
    return [Secret(value=fresh), *old][:MAX_SECRETS]


def is_valid(secret: Secret, now: datetime) -> bool:
    return secret.until is None or secret.until > now
