"""Blocks and views that Slack would refuse are refused, with the place of the mistake."""

from typing import Any

import pytest
from local_stack.slack.actions import find_action, labels
from local_stack.slack.blocks import check_message_blocks, check_view, texts
from local_stack.slack.errors import Refused

PLAIN = {"type": "plain_text", "text": "Yes"}
BUTTON = {"type": "button", "text": PLAIN, "action_id": "yes", "value": "1"}
FEEDBACK = {
    "type": "feedback_buttons",
    "action_id": "feedback",
    "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "good"},
    "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "bad"},
}
INPUT = {"type": "input", "label": PLAIN, "element": {"type": "plain_text_input", "action_id": "why"}}
MODAL = {"type": "modal", "title": PLAIN, "submit": PLAIN, "blocks": [INPUT]}


def section(text: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def actions(*elements: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


GOOD = [
    section("x" * 3000),
    {"type": "section", "fields": [PLAIN] * 10},
    {**section("x"), "accessory": BUTTON},
    {"type": "header", "text": PLAIN},
    {"type": "divider"},
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}]},
    actions(BUTTON, {**BUTTON, "action_id": "no", "style": "danger"}),
    {"type": "context_actions", "elements": [FEEDBACK]},
    {"type": "markdown", "text": "# x"},
    {"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a"},
]
BAD = [
    ({"type": "nothing"}, "/0/type"),
    (section(""), "/0/text/text"),
    (section(7), "/0/text/text"),
    ({"type": "section"}, "/0"),
    ({"type": "section", "text": "words"}, "/0/text"),
    ({"type": "section", "fields": [PLAIN] * 11}, "/0/fields"),
    ({"type": "section", "text": {"type": "html", "text": "x"}}, "/0/text/type"),
    ({**section("x"), "colour": "red"}, "/0"),
    ({**section("x"), "block_id": "b" * 256}, "/0/block_id"),
    ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}, "/0/text/type"),
    ({"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}, "/0/text/text"),
    ({"type": "context", "elements": []}, "/0/elements"),
    ({"type": "context", "elements": [PLAIN] * 11}, "/0/elements"),
    (actions(), "/0/elements"),
    (actions(*[BUTTON] * 26), "/0/elements"),
    (actions(BUTTON, BUTTON), "/0/elements/1/action_id"),
    (actions({**BUTTON, "text": {"type": "plain_text", "text": "x" * 76}}), "/0/elements/0/text/text"),
    (actions({**BUTTON, "value": "x" * 2001}), "/0/elements/0/value"),
    (actions({**BUTTON, "style": "fancy"}), "/0/elements/0/style"),
    (actions({**BUTTON, "confirm": {"title": PLAIN}}), "/0/elements/0/confirm/text"),
    (actions({"type": "static_select", "action_id": "a", "options": []}), "/0/elements/0/options"),
    ({"type": "context_actions", "elements": [BUTTON]}, "/0/elements/0/type"),
    ({"type": "markdown", "text": "x" * 12_001}, "/0/text"),
    ({"type": "image", "image_url": "https://example.com/a.png"}, "/0/alt_text"),
]


def test_blocks_that_slack_takes_are_taken_and_get_an_id() -> None:
    checked = [check_message_blocks([each])[0] for each in GOOD]
    assert [block["type"] for block in checked] == [block["type"] for block in GOOD]
    assert all(block["block_id"] for block in checked)


@pytest.mark.parametrize(("block", "place"), BAD)
def test_a_block_that_slack_refuses_is_named_by_its_place(block: dict[str, Any], place: str) -> None:
    with pytest.raises(Refused) as refused:
        check_message_blocks([block])
    assert refused.value.code == "invalid_blocks"
    [line] = refused.value.details["response_metadata"]["messages"]
    assert line.endswith(f"[json-pointer:/blocks{place}]")


def test_more_blocks_than_fit_and_the_same_id_twice_are_refused() -> None:
    assert len(check_message_blocks([{"type": "divider"}] * 50)) == 50
    with pytest.raises(Refused, match="invalid_blocks"):
        check_message_blocks([{"type": "divider"}] * 51)
    with pytest.raises(Refused, match="invalid_blocks"):
        check_message_blocks([{"type": "divider", "block_id": "same"}] * 2)


def test_a_message_is_too_long_by_the_sum_of_its_texts() -> None:
    assert check_message_blocks([section("x" * 3000)] * 4 + [section("x" * 1200)])
    with pytest.raises(Refused, match="msg_blocks_too_long"):
        check_message_blocks([section("x" * 3000)] * 4 + [section("x" * 1201)])
    assert sum(len(text) for text in texts([section("ab"), actions(BUTTON)])) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"type": "home"},
        {"title": {"type": "plain_text", "text": "x" * 25}},
        {"submit": None},
        {"private_metadata": "x" * 3001},
        {"blocks": [section("x")] * 101},
        {"blocks": [{"type": "markdown", "text": "x"}]},
        {"blocks": [{**INPUT, "element": BUTTON}]},
    ],
)
def test_a_modal_that_slack_would_not_show_is_refused(change: dict[str, Any]) -> None:
    assert check_view(MODAL)["blocks"][0]["block_id"]
    with pytest.raises(Refused, match="invalid_arguments"):
        check_view({**MODAL, **change})


def test_what_can_be_pressed_is_found_by_its_id_value_or_words() -> None:
    blocks = check_message_blocks([actions(BUTTON), {"type": "context_actions", "elements": [FEEDBACK]}])
    assert labels(blocks) == ["Yes", "Good", "Bad"]
    for key in ("yes", "1", "Yes"):
        action = find_action(blocks, key)
        assert (action["action_id"], action["block_id"], action["value"]) == ("yes", "b0", "1")
    assert find_action(blocks, "Bad")["value"] == find_action(blocks, "feedback", "bad")["value"] == "bad"
    with pytest.raises(Refused):
        find_action(blocks, "maybe")


def test_a_chosen_option_is_sent_whole() -> None:
    option = {"text": PLAIN, "value": "mac"}
    menu = {"type": "static_select", "action_id": "laptop", "options": [option]}
    blocks = check_message_blocks([{**section("Which?"), "accessory": menu}])
    assert find_action(blocks, "laptop", "mac")["selected_option"] == option
