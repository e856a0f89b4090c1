"""What agent-service tells the model of a confirmation that was answered before, as demo-rules understands it."""

import json
from datetime import UTC, datetime
from uuid import uuid4

from agent_service.domain.confirmations import Asked, State, note_of_repeat
from local_stack.demo_rules import words
from local_stack.demo_rules.conversation import read_conversation
from local_stack.demo_rules.flow import reply_to

from tests.support.talk import AGENTS, answers


def repeated_answer(state: State, outcome: str | None) -> str:
    """What demo-rules says to a second yes or no, when agent-service tells it what came of the first."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    asked = Asked(uuid4(), uuid4(), "a", "s", "open_laptop_refresh_ticket", {}, "", "Open it.", state, now, outcome)
    system = f"You are kind.\n\n# From the system, about the last message\n{note_of_repeat(asked)}"
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "yes"}]
    return reply_to(read_conversation(messages, AGENTS["laptop-refresh"])).text


def test_a_second_yes_is_answered_with_the_ticket_of_the_first() -> None:
    told = repeated_answer(State.APPROVED, json.dumps(answers()["open_laptop_refresh_ticket"]))
    assert "already an open laptop refresh ticket" in told
    assert "REQ0042137" in told
    assert words.DONE_BEFORE in repeated_answer(State.APPROVED, None)


def test_a_second_no_orders_nothing() -> None:
    assert words.NOTHING_ORDERED in repeated_answer(State.REJECTED, None)
