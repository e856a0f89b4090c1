"""Sending events to where this service's own events go: the broker, or request-manager's `/events` in direct mode.

Source: https://github.com/knative/specs/blob/main/specs/eventing/data-plane.md (what a sender may conclude from an answer)."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
from shared_models.enums import ServiceName
from shared_models.errors import Refusal, UpstreamRejected, UpstreamUnavailable
from shared_models.events import CloudEvent
from shared_models.settings import ServiceSettings
from shared_models.telemetry import current_traceparent
from shared_models.tokens import ServiceTokens
from shared_models.work_item import RetryPolicy

NEVER_TAKEN = frozenset({400, 413, 415, 422})
"""Answers about the event itself. Everything else is about the way to the sink, which somebody will repair."""

SINK_RETRIES = RetryPolicy(attempts=32_000, base_s=0.5, cap_s=30.0)
"""Some days of trying: a sink that is away costs no event its life; a request ends by its deadline meanwhile."""

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
MAX_RETRY_AFTER_S = 3600.0


class EventSinkClient:
    """Posts events to `url`, each with the token that `token` gives at that moment (empty: none)."""

    def __init__(self, http: httpx.AsyncClient, url: str, token: Callable[[], str]) -> None:
        self._http = http
        self._url = url
        self._token = token

    async def send(self, event: CloudEvent) -> None:
        """Raises UpstreamUnavailable (send again later), UpstreamRejected (this event will never be taken)."""
        headers, body = event.to_binary()
        if token := self._token():
            headers["authorization"] = f"Bearer {token}"
        if traceparent := current_traceparent():
            headers["traceparent"] = traceparent
        timeout = httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        try:
            async with self._http.stream(
                "POST", self._url, content=body, headers=headers, timeout=timeout, follow_redirects=False
            ) as reply:
                check(reply.status_code, reply.headers, has_body=await _has_body(reply))
        except httpx.RequestError as exc:
            raise UpstreamUnavailable(f"the event sink does not answer: {type(exc).__name__}") from exc


async def _has_body(reply: httpx.Response) -> bool:
    """Looks at the first bytes alone: what else a stranger sends is not read."""
    if not reply.is_success:
        return False
    async for chunk in reply.aiter_bytes():
        if chunk:
            return True
    return False


def check(status: int, headers: httpx.Headers, *, has_body: bool) -> None:
    """Returns when an answer says that the event was taken. Raises as `send`."""
    refusal = Refusal(status)
    if 200 <= status < 300:
        if has_body:
            kind = headers.get("content-type", "no type")[:100]
            raise UpstreamUnavailable(f"{status} with a body ({kind}): this is no broker, but a proxy or a portal")
        return
    if status in NEVER_TAKEN:
        raise UpstreamRejected(f"the event sink refuses this event for good: {status}", refusal=refusal)
    if 300 <= status < 400:
        raise UpstreamUnavailable(f"{status}: redirects are not followed; set the final address", refusal=refusal)
    words = {401: "the token is not accepted", 403: "we may not send here", 404: "there is no broker at this address"}
    cause = f"the event sink answers {status}" + (f": {words[status]}" if status in words else "")
    raise UpstreamUnavailable(cause, retry_after_s=retry_after_s(headers, datetime.now(UTC)), refusal=refusal)


def retry_after_s(headers: httpx.Headers, now: datetime) -> float | None:
    """`Retry-After` in seconds, given in seconds or as a date; an hour at most. None: absent or senseless."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return min(float(value), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def event_sink(http: httpx.AsyncClient, settings: ServiceSettings, tokens: ServiceTokens) -> EventSinkClient:
    """The sink that the settings name, called with a token for whoever listens there."""
    audience = ServiceName.BROKER if settings.eventing_enabled else ServiceName.REQUEST_MANAGER

    def service_token() -> str:
        return tokens.make(audience)

    path = settings.broker_token_file if settings.eventing_enabled else None
    return EventSinkClient(http, settings.sink_url, service_token if path is None else lambda: token_in(path))


def token_in(path: Path) -> str:
    """The token that stands in a file now: it is renewed there by others. Raises UpstreamUnavailable without one."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as exc:
        raise UpstreamUnavailable(f"BROKER_TOKEN_FILE cannot be read: {type(exc).__name__}") from exc
    if not token:
        raise UpstreamUnavailable("BROKER_TOKEN_FILE is empty")
    return token
