"""Ends that a request may come to without an answer, in words for the person."""

from enum import StrEnum

from shared_models.enums import RequestStatus
from shared_models.schemas import ErrorInfo


class EndReason(StrEnum):
    """Why an end is asked for; also the `code` of the error."""

    CANCELLED = "cancelled"
    EXPIRED = "deadline_passed"
    UNDELIVERABLE = "handover_failed"
    SESSION_CLOSED = "session_closed"


STATUS = {
    EndReason.CANCELLED: RequestStatus.CANCELLED,
    EndReason.EXPIRED: RequestStatus.EXPIRED,
    EndReason.UNDELIVERABLE: RequestStatus.FAILED,
    EndReason.SESSION_CLOSED: RequestStatus.FAILED,
}

_WORDS = {
    EndReason.CANCELLED: "You cancelled this request.",
    EndReason.EXPIRED: "This took too long and was given up. Please ask again.",
    EndReason.UNDELIVERABLE: "Your question could not be brought to an agent. Please try again.",
    EndReason.SESSION_CLOSED: "The conversation was closed before this could be answered.",
}


def error_of(reason: EndReason) -> ErrorInfo:
    is_retryable = reason in (EndReason.EXPIRED, EndReason.UNDELIVERABLE)
    return ErrorInfo(code=reason.value, message=_WORDS[reason], retryable=is_retryable)
