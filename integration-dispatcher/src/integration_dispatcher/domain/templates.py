"""How a request ended, in words for its person. Pure."""

from collections.abc import Sequence

from shared_models.enums import RequestStatus
from shared_models.schemas import AgentRef, AgentResponse, DeliveryWish, ResponseContent

ENDS = {
    RequestStatus.COMPLETED: "Your request is done.",
    RequestStatus.FAILED: "Your request could not be answered.",
    RequestStatus.CANCELLED: "Your request was cancelled.",
    RequestStatus.EXPIRED: "Your request ran out of time before it could be answered.",
}
TRY_AGAIN = "You can ask again."
UNREAD_FILES = "unread_files"
"""The name in a request's metadata of the list of file names that came with it, and that nobody reads."""


def words(answer: AgentResponse) -> str:
    """The answer's Markdown, or what happened instead; and that attached files were not read, which no model is left to say."""
    names = answer.metadata.get(UNREAD_FILES)
    if not isinstance(names, list) or not names:
        return _end(answer)
    shown = ", ".join(f"`{str(name).replace('`', "'")}`" for name in names)
    return f"{_end(answer)}\n\nI have not read what you attached: {shown}."


def _end(answer: AgentResponse) -> str:
    """The status alone decides, whatever else the message holds."""
    if answer.status is RequestStatus.COMPLETED and answer.response is not None:
        return answer.response.content
    sentences = [ENDS[answer.status]]
    if answer.error is not None and answer.error.message not in sentences:
        sentences.append(answer.error.message)
    may_repeat = answer.status is RequestStatus.EXPIRED or (answer.error is not None and answer.error.retryable)
    return " ".join([*sentences, TRY_AGAIN] if may_repeat else sentences)


NOTE_BY = AgentRef(name="delivery", version="1")
NOTES = {
    "failed": "An answer for you could not be delivered.",
    "disabled": "One of your integrations was switched off. Set it again to switch it on.",
}
READ_IT = "You can still read the answer: `ssa requests get {request_id}`"


def note_of(answer: AgentResponse, note: str, failures: Sequence[tuple[str, str]]) -> AgentResponse:
    """What the person is told elsewhere: a message of its own, to their own address. `failures`: integration and reason.

    It does not hold the answer: that was meant for another place."""
    lines = [f"- {integration}: {reason}" for integration, reason in failures]
    words_of_note = "\n\n".join([NOTES[note], "\n".join(lines), READ_IT.format(request_id=answer.request_id)])
    return answer.model_copy(
        update={
            "status": RequestStatus.COMPLETED,
            "response": ResponseContent(content=words_of_note, agent=NOTE_BY),
            "error": None,
            "delivery": DeliveryWish(mode="preferred"),
            "metadata": {"note": f"delivery_{note}"},
        }
    )
