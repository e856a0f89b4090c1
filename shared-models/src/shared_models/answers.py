"""The answer to a request: whose it is and where it goes are the request's, the rest is how it ended."""

from datetime import datetime

from shared_models.enums import RequestStatus
from shared_models.schemas import AgentResponse, ErrorInfo, NormalizedRequest, ResponseContent


def answer_to(
    request: NormalizedRequest,
    status: RequestStatus,
    ended_at: datetime,
    *,
    response: ResponseContent | None = None,
    error: ErrorInfo | None = None,
    session_ended: bool = False,
) -> AgentResponse:
    return AgentResponse(
        request_id=request.request_id,
        session_id=request.session_id,
        sequence=request.sequence,
        person=request.person,
        integration_type=request.integration_type,
        status=status,
        response=response,
        error=error,
        session_ended=session_ended,
        delivery=request.delivery,
        metadata=request.metadata,
        created_at=request.created_at,
        ended_at=ended_at,
        deadline_at=request.deadline_at,
    )
