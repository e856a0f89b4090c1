"""The error tree. Each error knows its HTTP status, a stable code, and whether trying again may help.

`title` and `detail` are read by people: they never hold internals, secrets or another person's data."""

from dataclasses import dataclass


class ServiceError(Exception):
    """Something a caller can be told. Rendered as problem+json (RFC 9457) by `web.py`."""

    status = 500
    code = "internal_error"
    title = "Something went wrong on our side."
    hint = "Try again; if it happens again, give the request id to your IT team."
    retryable = False
    tells_detail = True
    """False: the detail names addresses and is for logs alone."""

    def __init__(self, detail: str = "", *, retry_after_s: float | None = None, hint: str = "") -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.headers: dict[str, str] = {}
        if hint:
            self.hint = hint


class InvalidRequest(ServiceError):
    status = 422
    code = "invalid_request"
    title = "The request is not valid."
    hint = "Correct the named fields and send it again."


class MalformedBody(ServiceError):
    status = 400
    code = "malformed_body"
    title = "The body could not be read."
    hint = "Send valid JSON in UTF-8 with Content-Type application/json."


class PayloadTooLarge(ServiceError):
    status = 413
    code = "payload_too_large"
    title = "The body is too large."
    hint = "Send at most 1 MiB; a question may have 65,536 characters."


class NotAuthenticated(ServiceError):
    status = 401
    code = "not_authenticated"
    title = "Sign in first."
    hint = "Send a valid token or API key as 'Authorization: Bearer ...'."


class NotAllowed(ServiceError):
    status = 403
    code = "not_allowed"
    title = "You may not do this."
    hint = "Ask an administrator for the role or scope."


class NotFound(ServiceError):
    status = 404
    code = "not_found"
    title = "There is no such thing here, or it is not yours."
    hint = "Check the id."


class Conflict(ServiceError):
    status = 409
    code = "conflict"
    title = "This does not fit the present state."
    hint = "Read the present state, then decide."


class SessionEnded(Conflict):
    code = "session_ended"
    title = "This conversation is closed or has expired."
    hint = "Send the message without session_id to start a new conversation."


class IdempotencyConflict(ServiceError):
    status = 422
    code = "idempotency_conflict"
    title = "This Idempotency-Key was used with another body."
    hint = "Use a new key for a new request."


class Gone(ServiceError):
    status = 410
    code = "gone"
    title = "This was removed after its retention time."
    hint = "Ask again if you still need an answer."


class TooManyRequests(ServiceError):
    status = 429
    code = "too_many_requests"
    title = "Too many requests at once."
    hint = "Wait for the time in Retry-After, then try again."
    retryable = True


class Unavailable(ServiceError):
    """Nothing was accepted: the sender should try again."""

    status = 503
    code = "unavailable"
    title = "The service cannot take this right now."
    hint = "Nothing was lost or stored; try again in a moment."
    retryable = True


@dataclass(frozen=True)
class Refusal:
    """What a neighbour answered instead of a result: the HTTP status, and the words of its problem+json if it sent any."""

    status: int
    code: str = ""
    message: str = ""
    hint: str = ""
    request_id: str = ""


class UpstreamUnavailable(ServiceError):
    """A neighbour did not answer, or answered 408, 425, 429 or 5xx (then `refusal` is set)."""

    status = 503
    code = "upstream_unavailable"
    title = "A part of the system does not answer right now."
    retryable = True
    tells_detail = False

    def __init__(
        self, detail: str = "", *, retry_after_s: float | None = None, hint: str = "", refusal: Refusal | None = None
    ) -> None:
        super().__init__(detail, retry_after_s=retry_after_s, hint=hint)
        self.refusal = refusal


class UpstreamRejected(ServiceError):
    """A neighbour refused the call; repeating it changes nothing. `upstream_status` is its HTTP status."""

    status = 502
    code = "upstream_rejected"
    title = "A part of the system refused the call."
    tells_detail = False

    def __init__(
        self, detail: str = "", *, upstream_status: int = 0, upstream_code: str = "", refusal: Refusal | None = None
    ) -> None:
        super().__init__(detail)
        self.refusal = refusal or Refusal(upstream_status, upstream_code)
        self.upstream_status = self.refusal.status
        self.upstream_code = self.refusal.code
