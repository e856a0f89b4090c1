"""How a request ends, in the words and the shape that the other services and the person get."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared_models.answers import answer_to
from shared_models.enums import RequestStatus
from shared_models.errors import ServiceError
from shared_models.schemas import (
    AgentRef,
    AgentResponse,
    Citation,
    ErrorInfo,
    NormalizedRequest,
    ResponseContent,
    ToolUse,
    Usage,
)

from agent_service.domain.confirmations import Asked, actions

SESSION_CLOSED = ErrorInfo(
    code="session_closed",
    message="This conversation was closed before your message was answered. Please send it again in a new one.",
    retryable=True,
)
CANCELLED = ErrorInfo(code="cancelled", message="You cancelled this request, so it was not answered.")
EXPIRED = ErrorInfo(
    code="expired", message="This request could not be answered within its time. Please ask again.", retryable=True
)
BROKEN = ErrorInfo(
    code="internal_error",
    message="Something went wrong on our side, so this request could not be answered. Please ask again.",
    retryable=True,
)
CUT_OFF_NOTE = "\n\n*(The answer was too long and ends here. Ask me to go on if you need the rest.)*"


class TurnTooLong(ServiceError):
    """The turn used up its time."""

    status = 504
    code = "turn_timeout"
    title = "Finding an answer took too long, so I stopped. Please ask again, perhaps for a smaller step."
    retryable = True


class TooManySteps(ServiceError):
    """The model went on calling tools beyond the limits of its agent."""

    status = 502
    code = "too_many_steps"
    title = "I went round in circles with this and stopped. Please ask again in other words, or for a smaller step."
    retryable = True


@dataclass(frozen=True)
class Reply:
    """A successful answer before it is wrapped."""

    text: str
    agent: AgentRef
    citations: Sequence[Citation] = ()
    tools: Sequence[ToolUse] = ()
    asked: Asked | None = None
    usage: Usage = field(default_factory=Usage)

    def content(self) -> ResponseContent:
        is_question = self.text.rstrip(" *_)").endswith("?")
        return ResponseContent(
            content=self.text,
            agent=self.agent,
            citations=list(self.citations),
            tools=list(self.tools),
            confirmation=self.asked.view() if self.asked else None,
            requires_followup=self.asked is not None or is_question,
            followup_actions=actions(self.asked) if self.asked else [],
            usage=self.usage,
        )


def completed(request: NormalizedRequest, reply: Reply, *, now: datetime, session_ended: bool = False) -> AgentResponse:
    response = reply.content()
    return answer_to(request, RequestStatus.COMPLETED, now, response=response, session_ended=session_ended)


def ended(request: NormalizedRequest, status: RequestStatus, error: ErrorInfo, *, now: datetime) -> AgentResponse:
    """An end without an answer."""
    return answer_to(request, status, now, error=error)


def error_info(error: ServiceError) -> ErrorInfo:
    """What the person is told of a failure: its words, never its details."""
    return ErrorInfo(code=error.code, message=error.title, retryable=error.retryable)
