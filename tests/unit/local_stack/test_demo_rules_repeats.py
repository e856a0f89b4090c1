"""Confirmations: what agent-service asks and tells the model about them, as demo-rules understands it."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from agent_service.domain.confirmations import Asked, State, note_of_repeat, question
from local_stack.demo_rules import words
from local_stack.demo_rules.conversation import read_conversation
from local_stack.demo_rules.flow import reply_to

from tests.support.talk import AGENTS, Talk, answers


def asked(state: State, outcome: str | None = None) -> Asked:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Asked(uuid4(), uuid4(), "a", "s", "open_laptop_refresh_ticket", {}, "", "Open it.", state, now, outcome)


def repeated_answer(state: State, outcome: str | None, last_said: str = "Done.") -> str:
    """What demo-rules says to a second yes or no, when agent-service tells it what came of the first."""
    note = note_of_repeat(asked(state, outcome))
    messages = [
        {"role": "system", "content": f"You are kind.\n\n# From the system, about the last message\n{note}"},
        {"role": "assistant", "content": last_said},
        {"role": "user", "content": "yes"},
    ]
    reply = reply_to(read_conversation(messages, AGENTS["laptop-refresh"]))
    return reply.text or reply.calls[0].name


def confirming() -> Talk:
    """A conversation in which agent-service has asked, in its own words, for the confirmation of option 2."""
    talk = Talk()
    for text in ("I need a new laptop", "yes", "2"):
        talk.say(text)
    talk.messages[-1]["content"] = question(asked(State.OPEN))
    return talk


def test_a_second_yes_is_answered_with_the_ticket_of_the_first() -> None:
    told = repeated_answer(State.APPROVED, json.dumps(answers()["open_laptop_refresh_ticket"]))
    assert "already an open laptop refresh ticket" in told
    assert "REQ0042137" in told
    assert words.DONE_BEFORE in repeated_answer(State.APPROVED, None)


def test_a_second_no_orders_nothing() -> None:
    assert words.NOTHING_ORDERED in repeated_answer(State.REJECTED, None)


def test_a_yes_to_a_new_question_is_no_second_yes() -> None:
    assert repeated_answer(State.APPROVED, None, f"Facts. {words.GO_ON}") == "list_laptop_options"


@pytest.mark.parametrize(
    "said",
    [
        "What does the policy say about returning my old laptop?",
        "any open tickets?",
        "are you an AI?",
        "tell me a joke",
        "thanks",
        "hello",
        "hmm, let me think",
        "I want to talk to a human",
    ],
)
def test_while_a_confirmation_is_open_no_other_question_is_asked_that_a_yes_could_answer(said: str) -> None:
    talk = confirming()
    told = talk.say(said)
    assert words.pending_question(told) == words.CONFIRM
    assert words.pending_question(talk.say("who are you?")) == words.CONFIRM
    talk.say("then number 3")
    assert talk.confirming is not None
    assert "spark_t14_g5" in str(talk.confirming)


def test_after_words_of_the_service_the_own_question_still_waits() -> None:
    talk = Talk()
    for text in ("I need a new laptop", "yes"):
        talk.say(text)
    talk.messages += [{"role": "user", "content": "status"}, {"role": "assistant", "content": "All is well."}]
    talk.say("2")
    assert "quill_pro_14" in str(talk.confirming)
