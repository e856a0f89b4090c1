from typing import Any

import pytest
from integration_dispatcher.domain.slack_buttons import CONFIRM, DECIDING, FEEDBACK, Subject, settled
from integration_dispatcher.domain.slack_message import MOVED, Place, Post, posts_of, target_of, text_of
from integration_dispatcher.domain.slack_text import length
from integration_dispatcher.domain.templates import words
from shared_models.enums import IntegrationType, RequestStatus
from shared_models.ids import new_id
from shared_models.schemas import (
    AgentResponse,
    Citation,
    Confirmation,
    DeliveryWish,
    ErrorInfo,
    FollowupAction,
    ToolUse,
)

from tests.support.dispatcher import ended

CHANNEL = {"channel_id": "C1", "thread_id": "17.5", "slack_user_id": "U1", "slack_team_id": "T1"}
DIRECT = {"channel_id": "D1", "slack_user_id": "U1", "slack_team_id": "T1"}
TOOL = ToolUse(name="find_my_laptops", server="servicenow", outcome="ok")


def asked(context: dict[str, Any], *, content: str = "Hello", **changes: Any) -> AgentResponse:
    wish = DeliveryWish(mode="origin", targets=[IntegrationType.SLACK], context=context)
    answer = ended(new_id(), wish, content=content)
    assert answer.response is not None
    return answer.model_copy(update={"response": answer.response.model_copy(update=changes)})


def confirming(context: dict[str, Any]) -> AgentResponse:
    answer = asked(context)
    id_ = new_id()
    confirmation = Confirmation(id=id_, tool="t", effect="Order it.", arguments={}, expires_at=answer.deadline_at)
    actions = [
        FollowupAction(kind="confirm", label="Yes, go ahead", value=str(id_)),
        FollowupAction(kind="reject", label="No", value=str(id_)),
    ]
    return asked(context, confirmation=confirmation, followup_actions=actions)


def posts(answer: AgentResponse, channel: str = "") -> list[Post]:
    return posts_of(answer, words(answer), channel)


def action_ids(blocks: list[dict[str, Any]]) -> list[str]:
    kinds = ("actions", "context_actions")
    return [each["action_id"] for block in blocks if block["type"] in kinds for each in block["elements"]]


def test_an_answer_goes_back_into_its_thread() -> None:
    [post] = posts(asked(CHANNEL))

    assert post.place == Place("C1", "17.5", "U1")
    assert post.blocks[0]["text"] == {"type": "mrkdwn", "text": "Hello", "verbatim": True}
    assert target_of(asked(CHANNEL), "C9") == "C1/17.5"


def test_what_was_not_asked_in_slack_goes_to_the_persons_channel_or_a_direct_message() -> None:
    answer = ended(new_id(), DeliveryWish(mode="preferred"))

    assert posts(answer)[0].place == Place(email="ana@example.com")
    assert posts(answer, "C9")[0].place == Place("C9")
    assert target_of(answer, "") == f"direct message/{answer.person.user_id}"
    assert target_of(answer, "C9") == "C9"


@pytest.mark.parametrize("answer", [asked(CHANNEL, tools=[TOOL]), confirming(CHANNEL)], ids=["tool", "confirmation"])
def test_a_personal_answer_to_a_question_in_public_is_sent_to_the_person_with_a_note_in_the_thread(
    answer: AgentResponse,
) -> None:
    answer_post, note = posts(answer)

    assert answer_post.place == Place(user="U1", email="ana@example.com")
    assert "<#C1>" in str(answer_post.blocks[0])
    assert note.place == Place("C1", "17.5", "U1")
    assert text_of(note.blocks) == MOVED
    assert "Hello" not in str(note.blocks)
    assert target_of(answer, "").startswith("direct message/")


def test_a_personal_answer_stays_where_only_its_person_reads_and_never_goes_to_a_chosen_channel() -> None:
    assert [post.place.channel for post in posts(asked(DIRECT, tools=[TOOL]))] == ["D1"]
    preferred = asked(CHANNEL, tools=[TOOL]).model_copy(update={"delivery": DeliveryWish(mode="preferred")})
    assert [post.place for post in posts(preferred, "C9")] == [Place(email="ana@example.com")]


def test_looking_something_up_in_public_documents_is_not_personal() -> None:
    tool = ToolUse(name="search_knowledge", server="", outcome="ok")

    assert [post.place.channel for post in posts(asked(CHANNEL, tools=[tool]))] == ["C1"]


def test_an_answer_has_feedback_and_navigation_and_a_question_has_its_decision_instead() -> None:
    assert action_ids(posts(asked(DIRECT))[0].blocks) == [FEEDBACK, "ssa_my_requests", "ssa_new_topic"]
    blocks = posts(confirming(DIRECT))[0].blocks
    assert action_ids(blocks) == ["ssa_confirm", "ssa_reject", "ssa_my_requests", "ssa_new_topic"]


def test_a_failure_is_told_without_asking_whether_it_helped() -> None:
    error = ErrorInfo(code="x", message="The tool did not answer.")
    answer = ended(new_id(), None, status=RequestStatus.FAILED, error=error)

    [post] = posts(answer)

    assert "The tool did not answer." in text_of(post.blocks)
    assert FEEDBACK not in action_ids(post.blocks)


def test_a_button_brings_back_what_it_is_about() -> None:
    answer = confirming(DIRECT)
    assert answer.response is not None
    assert answer.response.confirmation is not None
    [value] = [
        each["value"]
        for block in posts(answer)[0].blocks
        for each in block.get("elements", [])
        if each.get("action_id") == CONFIRM
    ]

    expected = (answer.request_id, answer.session_id, answer.person.user_id, answer.response.confirmation.id)
    assert Subject.load(value) == Subject(*expected)


@pytest.mark.parametrize("text", ["", "x", "[]", "null", '{"r": 1}', '{"r": "x", "s": "y", "u": "z"}'])
def test_a_value_that_is_none_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Subject.load(text)


def test_a_long_answer_becomes_messages_within_all_limits_with_buttons_under_the_last() -> None:
    found = posts(asked(DIRECT, content="<word> & " * 6000))

    assert len(found) > 5
    for post in found:
        assert len(post.blocks) <= 50
        assert all(length(text_of([block])) <= 3000 for block in post.blocks)
        assert length(str(post.blocks)) <= 11_000
    assert [bool(action_ids(post.blocks)) for post in found] == [False] * (len(found) - 1) + [True]


def test_sources_are_named_once_and_escaped() -> None:
    cited = [Citation(document="Laptop <policy>", section="2"), Citation(document="Laptop <policy>", section="2")]

    blocks = posts(asked(DIRECT, citations=cited))[0].blocks

    assert [block["elements"][0]["text"] for block in blocks if block["type"] == "context"] == [
        "Sources: Laptop &lt;policy&gt; – 2"
    ]


def test_a_post_is_stored_and_read_back() -> None:
    [post] = posts(asked(CHANNEL))

    assert Post.load(post.dump()) == post


def test_pressed_buttons_give_way_to_the_outcome_and_the_others_stay() -> None:
    shown = [block | {"block_id": f"b{n}"} for n, block in enumerate(posts(confirming(DIRECT))[0].blocks)]

    once = settled(shown, DECIDING, "*Approved.*")
    twice = settled(once, {"ssa_new_topic"}, "New topic.")

    assert action_ids(once) == ["ssa_my_requests", "ssa_new_topic"]
    assert once[0] == {name: value for name, value in shown[0].items() if name != "block_id"}
    assert action_ids(twice) == ["ssa_my_requests"]
    assert [block["elements"][0]["text"] for block in twice if block["type"] == "context"] == ["New topic."]
