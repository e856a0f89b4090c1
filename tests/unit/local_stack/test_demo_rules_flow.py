"""The laptop refresh as conversations: what the person reads, which tools were called, from which answers."""

import json
from typing import Any

import pytest
from local_stack.demo_rules import words
from local_stack.demo_rules.conversation import read_conversation
from local_stack.demo_rules.flow import reply_to

from tests.support.talk import AGENTS, LAPTOP, OPTIONS, SECOND_LAPTOP, Talk, answers

ORDERED = ["transfer_to_agent", "find_my_laptops", "check_laptop_eligibility", "search_knowledge"]


def started(**changed: Any) -> Talk:
    """A conversation in which the person was told about the laptop."""
    talk = Talk(answers=answers() | changed)
    talk.say("I need a new laptop")
    return talk


def choosing(**changed: Any) -> Talk:
    """A conversation in which the person was told the options."""
    talk = started(**changed)
    talk.say("yes")
    return talk


def ordered_code(talk: Talk) -> Any:
    assert talk.confirming is not None
    return json.loads(talk.confirming["tool_calls"][0]["function"]["arguments"])["laptop_code"]


@pytest.mark.parametrize("forgets_tools", [False, True])
def test_the_whole_way_ends_with_one_ticket_and_back_at_the_routing_agent(forgets_tools: bool) -> None:
    talk = Talk(forgets_tools=forgets_tools)
    facts = talk.say("I need a new laptop")
    assert talk.tools_called == ORDERED
    assert facts.endswith(words.GO_ON)
    listed = talk.say("yes please")
    assert all(option["model"] in listed for option in OPTIONS)
    assert "confirm" in talk.say("2")
    assert "open_laptop_refresh_ticket" not in talk.tools_called
    told = talk.say("yes")
    assert [name for name, _ in talk.called].count("open_laptop_refresh_ticket") == 1
    assert talk.called[-1][1] == {"laptop_code": "quill_pro_14", "serial_number": LAPTOP["serial_number"]}
    assert "REQ0042137" in told
    assert "IT Hardware" in told
    assert "by e-mail" in told
    assert talk.say("no thanks") == words.GOODBYE
    assert talk.agent == "routing-agent"


def test_the_eight_facts_the_verdict_and_its_source_are_told_at_once() -> None:
    told = Talk().say("Hi, I'd like to get a new notebook please")
    for fact in ("name", "location"):
        assert str(answers()["find_my_laptops"]["employee"][fact]) in told
    for fact in ("model", "serial_number", "purchase_date", "age_text", "warranty_expiry", "warranty_status"):
        assert str(LAPTOP[fact]) in told
    assert answers()["check_laptop_eligibility"]["verdict"] in told
    assert "[Refresh policy, 3. Eligibility]" in told


def test_a_person_who_is_not_eligible_is_warned_and_may_go_on() -> None:
    check = {
        "eligible": False,
        "verdict": "Not before May 2031",
        "policy_section": "3",
        "approval_note": "An IT manager decides",
    }
    talk = started(check_laptop_eligibility=check)
    told = talk.messages[-1]["content"]
    assert "Not before May 2031." in told
    assert "An IT manager decides. You may still go on." in told
    assert talk.say("yes").endswith(words.WHICH_OPTION)


def test_the_options_carry_every_field_the_tool_returned() -> None:
    told = started().say("yes")
    for option in OPTIONS:
        for field in ("code", "model", "target_user", "os", "weight"):
            assert str(option[field]) in told
        assert f"cost: {option['cost']:,}" in told
    assert "USB-C, HDMI" in told
    assert "EMEA" in told
    assert "EUR" in told


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("2", "quill_pro_14"),
        ("number 3", "spark_t14_g5"),
        ("#4", "spark_p1_g7"),
        ("I'd like the first one, please", "quill_air_m_3"),
        ("option two", "quill_pro_14"),
        ("one", "quill_air_m_3"),
        ("No, the second one", "quill_pro_14"),
        ("Ich nehme die Nummer 3", "spark_t14_g5"),
        ("Quillbook Air M3", "quill_air_m_3"),
        ("quillbook air m 3", "quill_air_m_3"),
        ("the quill air", "quill_air_m_3"),
        ("I want the MacBook, number 1", "quill_air_m_3"),
        ("the T14", "spark_t14_g5"),
        ("Sparkpad P1 Gen 7", "spark_p1_g7"),
        ("spark_t14_g5", "spark_t14_g5"),
        ("the linux one", "spark_p1_g7"),
    ],
)
def test_an_option_is_chosen_by_number_name_or_code(said: str, code: str) -> None:
    talk = choosing()
    talk.say(said)
    assert ordered_code(talk) == code


@pytest.mark.parametrize(
    ("said", "start"),
    [
        ("7", "That is not in the list"),
        ("0", "That is not in the list"),
        ("the 9000X", "That is not in the list"),
        ("1 or 2", "More than one"),
        ("the Sparkpad", "More than one"),
        ("Quillbook Air M9", "Did you mean number 1"),
        ("2 laptops", "That is not in the list"),
        ("hmm, I wonder", "I am not sure"),
        ("yes", "I am not sure"),
        ("??", "I am not sure"),
    ],
)
def test_a_choice_that_is_wrong_or_unclear_is_asked_for_again(said: str, start: str) -> None:
    talk = choosing()
    told = talk.say(said)
    assert told.startswith(start)
    assert told.endswith(words.WHICH_OPTION)
    talk.say("3")
    assert ordered_code(talk) == "spark_t14_g5"


@pytest.mark.parametrize("said", ["no", "No, thank you", "not now", "never mind", "I don't want to", "nein"])
def test_a_no_to_going_on_is_respected(said: str) -> None:
    talk = started()
    assert words.NOTHING_ORDERED in talk.say(said)
    assert talk.called == []


@pytest.mark.parametrize("said", ["no", "none of them", "cancel", "I don't want any of these"])
def test_a_no_to_the_options_is_respected(said: str) -> None:
    talk = choosing()
    assert words.NOTHING_ORDERED in talk.say(said)
    assert talk.confirming is None


def test_a_no_to_the_confirmation_opens_nothing() -> None:
    talk = choosing()
    talk.say("2")
    told = talk.say("no")
    assert words.NOTHING_ORDERED in told
    assert talk.called == []


@pytest.mark.parametrize("said", ["maybe", "yes and no", "I'm not sure", "what?"])
def test_an_unclear_yes_or_no_is_asked_again(said: str) -> None:
    talk = started()
    told = talk.say(said)
    assert words.YES_OR_NO in told
    assert told.endswith(words.GO_ON)


@pytest.mark.parametrize("forgets_tools", [False, True])
def test_instead_of_confirming_another_laptop_may_be_chosen(forgets_tools: bool) -> None:
    talk = choosing()
    talk.forgets_tools = forgets_tools
    talk.say("2")
    talk.say("actually number 4")
    assert ordered_code(talk) == "spark_p1_g7"


def test_an_open_ticket_is_told_and_no_second_one_promised() -> None:
    again = {"status": "already_open", "ticket_number": "REQ0000009", "state": "waiting for approval"}
    talk = choosing(open_laptop_refresh_ticket=again)
    talk.say("1")
    told = talk.say("yes")
    assert "already an open laptop refresh ticket: REQ0000009" in told
    assert "waiting for approval" in told
    assert "did not open a second one" in told


@pytest.mark.parametrize(
    "tool", ["find_my_laptops", "check_laptop_eligibility", "list_laptop_options", "open_laptop_refresh_ticket"]
)
def test_a_failed_tool_is_told_in_its_own_words_and_nothing_is_made_up(tool: str) -> None:
    talk = Talk(answers=answers() | {tool: "The ticket system sleeps."})
    told = [talk.say(text) for text in ("I need a new laptop", "yes", "2", "yes")]
    at = ["find_my_laptops", "check_laptop_eligibility", "list_laptop_options", "open_laptop_refresh_ticket"].index(
        tool
    )
    failed = told[1 if at == 2 else 3 if at == 3 else 0]
    assert "That did not work: The ticket system sleeps." in failed
    assert "REQ" not in failed
    assert LAPTOP["serial_number"] not in failed


def test_without_a_policy_passage_the_section_named_by_the_tool_is_cited() -> None:
    assert "[3. Eligibility]" in Talk(answers=answers() | {"search_knowledge": "down"}).say("new laptop please")
    assert "[3. Eligibility]" in Talk(answers=answers() | {"search_knowledge": {"results": []}}).say(
        "new laptop please"
    )


def test_a_person_without_a_laptop_is_told_so() -> None:
    told = Talk(answers=answers() | {"find_my_laptops": {"employee": {}, "laptops": []}}).say("I need a new laptop")
    assert words.NO_LAPTOP in told


def test_a_region_without_offers_is_told_so() -> None:
    assert words.NO_OPTIONS in started(list_laptop_options={"region": "X", "options": []}).say("yes")


@pytest.mark.parametrize("said", ["2", "the second one", "SN-9999-ABC", "the Sparkpad", "A-2"])
@pytest.mark.parametrize("forgets_tools", [False, True])
def test_of_several_laptops_one_is_chosen_first(said: str, forgets_tools: bool) -> None:
    two = answers()["find_my_laptops"] | {"laptops": [LAPTOP, SECOND_LAPTOP]}
    talk = Talk(answers=answers() | {"find_my_laptops": two}, forgets_tools=forgets_tools)
    asked = talk.say("I need a new laptop")
    assert asked.endswith(words.WHICH_LAPTOP)
    assert "check_laptop_eligibility" not in talk.tools_called
    assert talk.say("the blue one").endswith(words.WHICH_LAPTOP)
    told = talk.say(said)
    assert ("check_laptop_eligibility", {"serial_number": "SN-9999-ABC"}) in talk.called
    assert "- Serial number: SN-9999-ABC" in told
    for text in ("yes", "1", "yes"):
        talk.say(text)
    assert talk.called[-1][1]["serial_number"] == "SN-9999-ABC"


def test_open_tickets_are_listed_from_the_tool() -> None:
    talk = Talk()
    told = talk.say("What is the status of my ticket?")
    assert talk.tools_called == ["transfer_to_agent", "list_my_open_tickets"]
    assert "REQ0000007" in told
    assert words.NO_TICKETS in Talk(answers=answers() | {"list_my_open_tickets": {"tickets": []}}).say(
        "any open tickets?"
    )


def test_a_side_question_about_the_policy_comes_back_to_the_open_question() -> None:
    talk = started()
    told = talk.say("What does the policy say about returning my old laptop?")
    assert "Return the old laptop within 14 days. [Refresh policy, 4. Return]" in told
    assert told.endswith(words.GO_ON)
    assert talk.say("ok, go on").endswith(words.WHICH_OPTION)


def test_another_topic_goes_back_to_the_routing_agent_which_answers_it() -> None:
    talk = choosing()
    told = talk.say("How do I connect to the VPN?")
    assert talk.agent == "routing-agent"
    assert "Start the VPN client and sign in. [Remote work, VPN]" in told


def test_a_person_may_go_back_and_come_again() -> None:
    talk = started()
    assert words.ALREADY_BACK in talk.say("Let's go back to the main menu")
    assert talk.agent == "routing-agent"
    assert talk.say("my laptop is too old, can it be replaced?").endswith(words.GO_ON)
    assert talk.agent == "laptop-refresh"


@pytest.mark.parametrize("begin", [Talk, started, choosing])
@pytest.mark.parametrize(
    "said", ["Are you an AI?", "are you human", "Am I talking to a robot?", "who are you?", "bist du ein Mensch?"]
)
def test_asked_what_it_is_it_says_that_it_is_no_ai(begin: Any, said: str) -> None:
    assert "neither an AI nor a human being" in begin().say(said)


def test_the_rules_hold_no_facts_of_their_own() -> None:
    """Other answers of the tools, other words for the person: nothing of the first is left."""
    other = json.loads(json.dumps(answers()).replace("Quill", "Brux").replace("quill", "brux").replace("Ana", "Bob"))
    talk = Talk(answers=other)
    told = "".join(talk.say(text) for text in ("I need a new laptop", "yes", "2", "yes"))
    assert "bruxpro14" in told.lower().replace("_", "").replace(" ", "") or "brux_pro_14" in told
    assert "Quill" not in told
    assert "Ana" not in told


def test_the_same_messages_get_the_same_reply() -> None:
    talk = choosing()
    messages = [*talk.messages, {"role": "user", "content": "the third"}]
    replies = {repr(reply_to(read_conversation(messages, AGENTS["laptop-refresh"]))) for _ in range(3)}
    assert len(replies) == 1
