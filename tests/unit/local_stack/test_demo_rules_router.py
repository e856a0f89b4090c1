"""The routing agent and what both agents do with strange input."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_stack.demo_rules import words
from local_stack.demo_rules.conversation import Reply, read_conversation
from local_stack.demo_rules.flow import reply_to

from tests.support.talk import AGENTS, Talk, answers, tool

TO_LAPTOPS = ("transfer_to_agent", {"agent": "laptop-refresh"})


def first(text: str, tools: list[Any] | None = None, **more: Any) -> Reply:
    """What the routing agent does first with a first message."""
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]
    return reply_to(read_conversation(messages, AGENTS["routing-agent"] if tools is None else tools), **more)


@pytest.mark.parametrize("said", ["hello", "Hi there!", "Good morning", "Hallo", "help", "What can you do?"])
def test_a_greeting_is_answered_with_what_it_can_do(said: str) -> None:
    reply = first(said)
    assert "laptop refresh" in reply.text
    assert not reply.calls


@pytest.mark.parametrize(
    "said",
    [
        "I need a new laptop",
        "Hello, I need a new laptop",
        "my laptop is really slow",
        "Can I get a replacement for my MacBook?",
        "Am I eligible for a refresh?",
        "How old is my computer?",
        "when does the warranty of my thinkpad end",
        "How often can I get a new laptop?",
        "what is the laptop refresh policy?",
        "Ich brauche einen neuen Laptop",
        "Do I have an open ticket?",
        "status of my request REQ0012345",
    ],
)
def test_a_matter_of_laptops_and_tickets_is_handed_over_at_once(said: str) -> None:
    reply = first(said)
    assert [(call.name, call.arguments) for call in reply.calls] == [TO_LAPTOPS]


@pytest.mark.parametrize(
    "said",
    [
        "How do I connect to the VPN?",
        "the VPN on my laptop does not connect",
        "I forgot my password",
        "the printer is jammed",
        "My WLAN is gone",
        "How do I install software?",
    ],
)
def test_an_it_question_is_looked_up(said: str) -> None:
    reply = first(said)
    assert [(call.name, call.arguments) for call in reply.calls] == [("search_knowledge", {"query": said})]


def test_what_the_documents_do_not_know_is_not_known() -> None:
    assert words.NOTHING_FOUND in Talk().say("My headset crackles")
    assert words.NOTHING_FOUND in Talk(answers=answers() | {"search_knowledge": {"results": []}}).say("wifi is down")


def test_a_failed_search_is_told_in_its_own_words() -> None:
    assert "The search is down." in Talk(answers=answers() | {"search_knowledge": "The search is down."}).say("VPN?")


def test_without_documents_it_says_that_it_does_not_know() -> None:
    assert words.CANNOT_SEARCH in first("the printer is jammed", tools=[AGENTS["routing-agent"][0]]).text


@pytest.mark.parametrize(
    "said", ["What's the weather like?", "tell me a joke", "Write a poem about love", "What is my salary?"]
)
def test_what_is_not_it_is_declined(said: str) -> None:
    reply = first(said)
    assert words.OUT_OF_SCOPE in reply.text
    assert not reply.calls


def test_a_question_about_anything_is_declined_when_no_document_knows_it() -> None:
    assert words.OUT_OF_SCOPE in Talk().say("How many moons does Jupiter own?")


@pytest.mark.parametrize("said", ["?", "...", "asdf", "👍", "", "yes", "   "])
def test_an_unclear_message_is_asked_about(said: str) -> None:
    reply = first(said)
    assert words.UNCLEAR in reply.text
    assert not reply.calls


def test_thanks_and_goodbye_are_answered() -> None:
    assert first("thanks a lot!").text == words.GOODBYE
    assert first("bye").text == words.GOODBYE


def test_it_names_no_person_it_could_connect_to() -> None:
    assert words.NO_PERSON in first("I want to talk to a human").text


def test_nobody_is_passed_to_and_fro() -> None:
    handed = {"id": "c1", "type": "function", "function": {"name": "transfer_to_agent", "arguments": '{"agent": "x"}'}}
    messages = [
        {"role": "user", "content": "I need a new laptop"},
        {"role": "assistant", "content": None, "tool_calls": [handed]},
        {"role": "tool", "tool_call_id": "c1", "content": "{}"},
    ]
    reply = reply_to(read_conversation(messages, AGENTS["routing-agent"]))
    assert words.CANNOT_HAND_OVER in reply.text


def test_without_a_specialist_nobody_is_handed_over() -> None:
    assert words.CANNOT_HAND_OVER in first("I need a new laptop", tools=[]).text


def test_a_yes_that_meant_the_laptop_agent_finds_it_again() -> None:
    messages = [{"role": "assistant", "content": f"Facts.\n\n{words.GO_ON}"}, {"role": "user", "content": "yes"}]
    reply = reply_to(read_conversation(messages, AGENTS["routing-agent"]))
    assert reply.calls[0].name == "transfer_to_agent"


def test_forbidden_tools_are_not_called() -> None:
    assert first("I need a new laptop", may_call=False).text == words.NO_TOOLS


def test_a_tool_that_was_not_offered_is_named() -> None:
    only_facts = [tool("find_my_laptops")]
    messages = [{"role": "assistant", "content": words.GO_ON}, {"role": "user", "content": "yes"}]
    assert "list laptop options" in reply_to(read_conversation(messages, only_facts)).text


def test_a_tool_whose_call_came_back_changed_is_not_called_for_ever() -> None:
    talk = Talk(agent="laptop-refresh")
    talk.answers["find_my_laptops"]["laptops"][0]["serial_number"] = "S-1"
    broken = {"id": "b", "type": "function", "function": {"name": "check_laptop_eligibility", "arguments": "{broken"}}
    talk.messages = [{"role": "user", "content": "new laptop"}]
    found = {"id": "a", "type": "function", "function": {"name": "find_my_laptops", "arguments": "{}"}}
    talk.messages += [{"role": "assistant", "tool_calls": [found]}]
    talk.messages += [{"role": "tool", "tool_call_id": "a", "content": json.dumps(talk.answers["find_my_laptops"])}]
    for _ in range(3):
        talk.messages += [{"role": "assistant", "tool_calls": [broken]}]
        talk.messages += [{"role": "tool", "tool_call_id": "b", "content": json.dumps({"verdict": "Fine"})}]
    reply = reply_to(read_conversation(talk.messages, AGENTS["laptop-refresh"]))
    assert [call.name for call in reply.calls] != ["check_laptop_eligibility"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
CALL = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b"]),
        "function": st.fixed_dictionaries({"name": st.sampled_from(list(answers())), "arguments": JSON}),
    }
)
QUESTION = st.sampled_from([*words.QUESTIONS, "", "Please confirm"])
MESSAGE = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {"role": st.just("user"), "content": JSON | st.sampled_from(["2", "yes", "no", "new laptop", "vpn"])}
    ),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": QUESTION | JSON, "tool_calls": JSON | st.lists(CALL, max_size=2)}
    ),
    st.fixed_dictionaries(
        {
            "role": st.just("tool"),
            "tool_call_id": st.sampled_from(["a", "b", "c"]),
            "content": JSON
            | st.sampled_from([json.dumps(answer) for answer in answers().values()])
            | JSON.map(json.dumps),
        }
    ),
)


@given(st.lists(MESSAGE, max_size=8), st.sampled_from([*AGENTS.values(), []]))
def test_a_garbage_history_never_crashes(messages: list[Any], tools: list[Any]) -> None:
    reply = reply_to(read_conversation(messages, tools))
    assert bool(reply.text) != bool(reply.calls)


@given(st.lists(JSON, max_size=4), st.text(max_size=30))
def test_garbage_tools_never_crash(tools: list[Any], said: str) -> None:
    assert first(said, tools=tools).text
