"""How a request ended, in words for its person. Pure."""

from shared_models.enums import RequestStatus
from shared_models.schemas import AgentResponse

ENDS = {
    RequestStatus.COMPLETED: "Your request is done.",
    RequestStatus.FAILED: "Your request could not be answered.",
    RequestStatus.CANCELLED: "Your request was cancelled.",
    RequestStatus.EXPIRED: "Your request ran out of time before it could be answered.",
}
TRY_AGAIN = "You can ask again."


def words(answer: AgentResponse) -> str:
    """The answer's Markdown, or what happened instead: the status alone decides, whatever else the message holds."""
    if answer.status is RequestStatus.COMPLETED and answer.response is not None:
        return answer.response.content
    sentences = [ENDS[answer.status]]
    if answer.error is not None and answer.error.message not in sentences:
        sentences.append(answer.error.message)
    may_repeat = answer.status is RequestStatus.EXPIRED or (answer.error is not None and answer.error.retryable)
    return " ".join([*sentences, TRY_AGAIN] if may_repeat else sentences)
