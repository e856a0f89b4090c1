"""Reading intents, choices and tool outputs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_stack.demo_rules import words
from local_stack.demo_rules.choice import Entry, Why, choose, words_of
from local_stack.demo_rules.intents import Intent, content_words, intent_of, normalize, yes_or_no
from local_stack.demo_rules.steps import citation_for, relevance
from local_stack.demo_rules.tool_output import read_json, read_tool_output


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("yes", True),
        ("Yes, please!", True),
        ("ok go ahead", True),
        ("sure, why not", True),
        ("no problem, go on", True),
        ("Ja gerne", True),
        ("no", False),
        ("No, thanks.", False),
        ("not now", False),
        ("nein danke", False),
        ("yes, but not now", None),
        ("I'm not sure", None),
        ("I don't know", None),
        ("blue", None),
        ("", None),
        ("yes I would like to see all of the laptops that there are", True),
        ("I wonder whether one may say no to a thing like that or not", None),
    ],
)
def test_yes_and_no_are_read_only_when_clear(said: str, answer: bool | None) -> None:
    assert yes_or_no(said) is answer


@pytest.mark.parametrize(
    ("said", "intent"),
    [
        ("I need a new keyboard for my laptop", Intent.IT_TOPIC),
        ("open a ticket for a new laptop", Intent.LAPTOP),
        ("list my tickets", Intent.TICKETS),
        ("where is my laptop", Intent.TICKETS),
        ("what happens to my old laptop?", Intent.POLICY),
        ("how does wiping work", Intent.POLICY),
        ("my laptop is damaged, I need a new one", Intent.LAPTOP),
        ("I can't log in to Outlook", Intent.IT_TOPIC),
        ("what's for lunch", Intent.OUT_OF_SCOPE),
        ("something else", Intent.BACK),
        ("that's all", Intent.BYE),
        ("foo bar", Intent.OTHER),
        ("42", Intent.UNCLEAR),
    ],
)
def test_intents_are_read_from_keywords(said: str, intent: Intent) -> None:
    assert intent_of(said) is intent


def test_words_are_compared_without_accents_case_and_punctuation() -> None:
    assert normalize("Möchten Sie's, E-Mail & Wi-Fi?") == "mochten sies email wifi"
    assert content_words("How do I reset my VPN password, my VPN?") == ["reset", "vpn", "password"]


ENTRIES = [
    Entry(1, words_of(["Acme", "Book Pro 14 M3", "acme_book_pro_14_m_3"])),
    Entry(2, words_of(["Acme", "Book Pro 16", "acme_book_pro_16"]), words_of(["Linux"])),
]


@pytest.mark.parametrize(
    ("said", "why", "numbers"),
    [
        ("1", Why.CHOSEN, (1,)),
        ("the 2nd", Why.CHOSEN, (2,)),
        ("Pro 14", Why.CHOSEN, (1,)),
        ("book pro 16", Why.CHOSEN, (2,)),
        ("M3", Why.CHOSEN, (1,)),
        ("linux please", Why.CHOSEN, (2,)),
        ("acme", Why.SEVERAL, (1, 2)),
        ("1, 2 or 3", Why.SEVERAL, (1, 2)),
        ("14", Why.NOT_THERE, ()),
        ("Book Air 16", Why.CLOSE, (2,)),
        ("9" * 5000, Why.NOT_THERE, ()),
        ("surprise me", Why.NONE, ()),
        ("", Why.NONE, ()),
    ],
)
def test_a_choice_is_one_entry_or_a_reason_to_ask(said: str, why: Why, numbers: tuple[int, ...]) -> None:
    choice = choose(said, ENTRIES)
    assert (choice.why, choice.numbers) == (why, numbers)


def test_nothing_is_chosen_from_an_empty_list() -> None:
    assert choose("1", []).why is Why.NOT_THERE
    assert choose("the blue one", []).why is Why.NONE


OBJECT = st.dictionaries(
    st.text(max_size=5), st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=3)
)


@given(OBJECT, st.integers(min_value=0, max_value=200))
def test_a_tool_output_cut_short_is_read_up_to_the_cut(value: dict[str, Any], length: int) -> None:
    text = json.dumps(value)
    read = read_json(text[:length] + "")
    assert read is None or isinstance(read, dict)
    assert read_json(text) == value
    assert read_json(text + "\n[3,000 characters left out]") == value


def test_of_a_cut_list_the_complete_items_are_kept() -> None:
    text = json.dumps({"results": [{"text": "first, {whole}"}, {"text": "second"}, {"text": "third is cut"}]})
    output = read_tool_output(text[: text.index("is cut")] + "… [cut]")
    assert output.data == {"results": [{"text": "first, {whole}"}, {"text": "second"}]}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Error: it is down", "it is down"),
        ("Error executing tool: no such laptop", "no such laptop"),
        ('{"error": {"message": "gone"}}', "gone"),
        ('{"error": "gone"}', "gone"),
        ('{"isError": true, "text": "gone"}', "gone"),
        ("[1, 2]", "[1, 2]"),
        ("", "The tool gave no answer."),
        ("[" * 100_000, "[" * 600),
    ],
)
def test_everything_that_is_no_object_is_a_failure_in_words(text: str, error: str) -> None:
    output = read_tool_output(text)
    assert output.data is None
    assert output.error == error


def test_a_source_is_the_passage_of_the_section_or_the_best_one() -> None:
    passages = [{"document": "D", "section": "1. Scope"}, {"document": "D", "section": "3. Eligibility"}]
    assert citation_for(passages, "Eligibility") == "[D, 3. Eligibility]"
    assert citation_for(passages, "") == "[D, 1. Scope]"
    assert citation_for(passages, "D, section 3: Eligibility") == "[D, 3. Eligibility]"
    assert citation_for(passages, "Unheard") == "[Unheard]"
    assert citation_for([], "") == ""


def test_relevance_is_the_share_of_topic_words_in_the_passage() -> None:
    assert relevance(["connect", "vpn"], {"text": "The VPN connection"}) == 1.0
    assert relevance(["vpn", "moon"], {"section": "VPN", "text": ""}) == 0.5
    assert relevance([], {"text": "x"}) == 0.0


def test_a_long_passage_is_quoted_up_to_a_sentence() -> None:
    quoted = words.quote({"text": "One sentence. " * 200, "document": "D", "section": "S"})
    assert quoted.endswith("One sentence. [D, S]")
    assert len(quoted) < 1000


def test_the_question_asked_last_is_found_in_a_text() -> None:
    assert words.pending_question(f"{words.GO_ON} ... {words.ANYTHING_ELSE}") == words.ANYTHING_ELSE
    assert words.pending_question("none") == ""
