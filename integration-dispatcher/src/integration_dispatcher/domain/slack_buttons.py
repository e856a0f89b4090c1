"""The buttons under an answer in Slack, and what a message shows once one was pressed. Pure.

Source: https://docs.slack.dev/reference/block-kit/block-elements"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import orjson
from shared_models.enums import RequestStatus
from shared_models.schemas import AgentResponse

type Json = dict[str, Any]
type Rating = Literal["up", "down"]

CONFIRM, REJECT = "ssa_confirm", "ssa_reject"
FEEDBACK, MY_REQUESTS, NEW_TOPIC = "ssa_feedback", "ssa_my_requests", "ssa_new_topic"
DECIDING = frozenset({CONFIRM, REJECT})
STYLES = {"confirm": (CONFIRM, "primary"), "reject": (REJECT, "danger")}
REASON_VIEW, REASON_BLOCK, REASON_ACTION = "ssa_feedback_reason", "reason", "text"
MAX_LABEL = 75
MAX_REASON = 2000


@dataclass(frozen=True)
class Subject:
    """What a button is about. It comes back from Slack signed, with the press."""

    request_id: UUID
    session_id: UUID
    user_id: UUID
    confirmation_id: UUID | None = None
    rating: Rating | None = None

    def dump(self) -> str:
        names = {"r": self.request_id, "s": self.session_id, "u": self.user_id, "c": self.confirmation_id}
        value = {name: str(id_) for name, id_ in names.items() if id_ is not None}
        return orjson.dumps(value | ({"f": self.rating} if self.rating else {})).decode()

    @staticmethod
    def load(text: str) -> "Subject":
        """Raises ValueError for what is none of ours."""
        value = orjson.loads(text)
        try:
            request_id, session_id, user_id = (UUID(value[name]) for name in ("r", "s", "u"))
            confirmation = UUID(value["c"]) if "c" in value else None
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError("not a value of our buttons") from exc
        rating = value.get("f")
        return Subject(request_id, session_id, user_id, confirmation, rating if rating in ("up", "down") else None)


def buttons(answer: AgentResponse) -> list[Json]:
    """The blocks with buttons: the decision that is asked for, then what every answer has."""
    subject = Subject(answer.request_id, answer.session_id, answer.person.user_id)
    blocks = []
    if decision := _decision(answer, subject):
        blocks.append({"type": "actions", "elements": decision})
    elif answer.status is RequestStatus.COMPLETED:
        blocks.append({"type": "context_actions", "elements": [_feedback(subject)]})
    elements = [_button(MY_REQUESTS, "My requests", subject), _button(NEW_TOPIC, "New topic", subject)]
    return [*blocks, {"type": "actions", "elements": elements}]


def _decision(answer: AgentResponse, subject: Subject) -> list[Json]:
    response = answer.response
    if response is None or response.confirmation is None:
        return []
    about = Subject(subject.request_id, subject.session_id, subject.user_id, response.confirmation.id)
    return [
        _button(STYLES[action.kind][0], action.label, about) | {"style": STYLES[action.kind][1]}
        for action in response.followup_actions
        if action.kind in STYLES
    ]


def _button(action_id: str, label: str, subject: Subject) -> Json:
    text = {"type": "plain_text", "text": label[:MAX_LABEL], "emoji": True}
    return {"type": "button", "action_id": action_id, "text": text, "value": subject.dump()}


def _feedback(subject: Subject) -> Json:
    def side(label: str, spoken: str, rating: Rating) -> Json:
        value = Subject(subject.request_id, subject.session_id, subject.user_id, rating=rating).dump()
        text = {"type": "plain_text", "text": label}
        return {"text": text, "accessibility_label": spoken, "value": value}

    return {
        "type": "feedback_buttons",
        "action_id": FEEDBACK,
        "positive_button": side("👍", "This answer helped", "up"),
        "negative_button": side("👎", "This answer did not help", "down"),
    }


def note(text: str) -> Json:
    """A small line; `text` is mrkdwn."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def settled(blocks: Sequence[Json], pressed: Collection[str], words: str) -> list[Json]:
    """The blocks of a message whose buttons of these action ids have done their work; `words` say what came of it.

    Block ids are left out: a changed message needs new ones. A note from before is replaced."""
    kept = [_without(block, pressed) for block in blocks if block.get("block_id") != OUTCOME]
    return [block for block in kept if block] + [note(words) | {"block_id": OUTCOME}]


OUTCOME = "ssa_outcome"


def _without(block: Json, pressed: Collection[str]) -> Json:
    rest = {name: value for name, value in block.items() if name != "block_id"}
    if block.get("type") not in ("actions", "context_actions"):
        return rest
    elements = [each for each in block.get("elements", []) if each.get("action_id") not in pressed]
    return rest | {"elements": elements} if elements else {}


def reason_view(metadata: str) -> Json:
    """The modal that asks what was wrong. `metadata` comes back with the answer."""
    element = {"type": "plain_text_input", "action_id": REASON_ACTION, "multiline": True, "max_length": MAX_REASON}
    block = {
        "type": "input",
        "block_id": REASON_BLOCK,
        "optional": True,
        "label": {"type": "plain_text", "text": "What was wrong, or missing?"},
        "element": element,
    }
    return {
        "type": "modal",
        "callback_id": REASON_VIEW,
        "private_metadata": metadata,
        "title": {"type": "plain_text", "text": "Your feedback"},
        "submit": {"type": "plain_text", "text": "Send"},
        "close": {"type": "plain_text", "text": "Close"},
        "blocks": [block],
    }
