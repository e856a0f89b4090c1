"""A yes is a yes only when nobody can read it otherwise."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from agent_service.domain.confirmations import (
    Asked,
    State,
    Verdict,
    hash_of,
    judge,
    note_of_repeat,
    question,
    yes_or_no,
)
from shared_models.ids import new_id
from shared_models.schemas import ConfirmDecision

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
ASKED = Asked(
    id=new_id(),
    request_id=new_id(),
    agent="laptop-refresh",
    server="servicenow",
    tool="open_ticket",
    arguments={"code": "air"},
    arguments_hash="h",
    effect="Open a ticket for air.",
    state=State.OPEN,
    expires_at=NOW + timedelta(minutes=15),
    is_last_said=True,
)
LATE = NOW + timedelta(minutes=15)


PLAIN_YES = [
    *[
        "yes",
        "YES",
        " Yes. ",
        "y",
        "yes please",
        "Yes, please!",
        "Please go ahead",
        "Yes, go ahead",
        "ok",
        "Okay",
        "sure",
    ],
    *["Confirm", "👍", "✅", "ja", "Ja!", "ja bitte", "Ja, bitte.", "jawohl", "gerne", "Ja, mach das", "bestätigt"],
    *["👍🏽", "✅\ufe0f", ":+1:"],
]
PLAIN_NO = [
    *["no", "No!", "nope", "n", "no thanks", "No, thank you.", "don't", "don’t", "please don't", "reject", "👎"],
    *["nein", "Nein, danke", "NEIN", "lieber nicht", "auf keinen Fall", "doch nicht", "Nein, lieber nicht"],
]
NEITHER = [
    *[
        "",
        "   ",
        "yes and no",
        "yes but not now",
        "no wait, yes",
        "yes, no",
        "yesterday",
        "not yes",
        "ok?",
        "yes?",
        "know",
    ],
    *[
        "nay sayer",
        "jaja nein",
        "Janet",
        "I said yes to the other one",
        "yes\nno",
        "he said: yes",
        "no problem",
        "please",
    ],
    *["ja aber", "vielleicht", "y e s", "approve nothing", "cancel", "danke", "bitte", ",", "yes" * 50, "yes, the Pro"],
]


@pytest.mark.parametrize("content", PLAIN_YES)
def test_these_are_a_yes(content: str) -> None:
    assert yes_or_no(content) is True


@pytest.mark.parametrize("content", PLAIN_NO)
def test_these_are_a_no(content: str) -> None:
    assert yes_or_no(content) is False


@pytest.mark.parametrize("content", NEITHER)
def test_these_are_neither(content: str) -> None:
    assert yes_or_no(content) is None


def decision(word: Literal["approve", "reject"] = "approve", of: Asked = ASKED) -> ConfirmDecision:
    return ConfirmDecision(id=of.id, decision=word)


def test_a_bare_yes_counts_only_right_after_its_question() -> None:
    earlier = replace(ASKED, is_last_said=False)
    assert judge("yes", None, earlier, now=NOW) is Verdict.NONE
    assert judge("no", None, earlier, now=NOW) is Verdict.NONE
    assert judge("yes", decision(), earlier, now=NOW) is Verdict.APPROVE
    assert judge("yes", None, replace(earlier, state=State.APPROVED, outcome="done"), now=NOW) is Verdict.NONE


def test_without_a_question_a_yes_is_just_a_word() -> None:
    assert judge("yes", None, None, now=NOW) is Verdict.NONE


def test_an_open_question_is_answered_by_words_or_by_a_button() -> None:
    assert judge("yes", None, ASKED, now=NOW) is Verdict.APPROVE
    assert judge("nein", None, ASKED, now=NOW) is Verdict.REJECT
    assert judge("anything", decision("approve"), ASKED, now=NOW) is Verdict.APPROVE
    assert judge("yes", decision("reject"), ASKED, now=NOW) is Verdict.REJECT
    assert judge("a question", None, ASKED, now=NOW) is Verdict.NONE


def test_a_question_is_open_for_fifteen_minutes() -> None:
    assert judge("yes", None, ASKED, now=LATE) is Verdict.EXPIRED
    assert judge("x", decision(), ASKED, now=LATE) is Verdict.EXPIRED
    assert judge("no", None, ASKED, now=LATE) is Verdict.NONE


def test_a_button_of_another_question_decides_nothing() -> None:
    other = ConfirmDecision(id=new_id(), decision="approve")
    assert judge("yes", other, ASKED, now=NOW) is Verdict.UNKNOWN
    assert judge("yes", other, None, now=NOW) is Verdict.UNKNOWN
    assert judge("yes", decision(), replace(ASKED, state=State.REPLACED), now=NOW) is Verdict.REPLACED


def test_a_used_question_cannot_be_used_again() -> None:
    used = replace(ASKED, state=State.APPROVED, outcome='{"ticket": 1}')
    assert judge("yes", None, used, now=NOW) is Verdict.REPEATED
    assert judge("yes", None, used, now=LATE) is Verdict.NONE
    assert judge("no", None, used, now=NOW) is Verdict.NONE
    assert judge("yes", decision(), used, now=LATE) is Verdict.REPEATED
    declined = replace(ASKED, state=State.REJECTED)
    assert judge("yes", None, declined, now=NOW) is Verdict.NONE
    assert judge("yes", decision(), declined, now=NOW) is Verdict.REPEATED


def test_a_yes_whose_outcome_was_lost_may_be_given_again_under_the_same_intent() -> None:
    lost = replace(ASKED, state=State.APPROVED)
    assert judge("yes", None, lost, now=NOW) is Verdict.APPROVE
    assert judge("x", decision(), lost, now=LATE) is Verdict.APPROVE
    assert judge("x", decision("reject"), lost, now=NOW) is Verdict.REPEATED
    assert judge("x", decision(), lost, now=NOW + timedelta(days=2)) is Verdict.REPEATED


def test_the_hash_is_of_the_tool_and_the_arguments_in_any_order() -> None:
    assert hash_of("t", {"a": 1, "b": 2}) == hash_of("t", {"b": 2, "a": 1})
    assert len({hash_of("t", {"a": 1}), hash_of("t", {"a": "1"}), hash_of("u", {"a": 1}), hash_of("t", {})}) == 4


def test_the_words_around_a_question() -> None:
    assert "> Open a ticket for air." in question(ASKED)
    assert note_of_repeat(replace(ASKED, outcome="REQ1")).startswith("The person has already confirmed this")
    assert note_of_repeat(replace(ASKED, state=State.REJECTED)).startswith("The person has already declined this")
