"""What fits the model: the newest, in full if possible, and always the question."""

from agent_service.domain.context import FULL_TURNS, PastTurn, fit, item_tokens, shorten, tokens
from hypothesis import given
from hypothesis import strategies as st

TOOL_ITEMS = [
    {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "o" * 3_000},
]


def turns(count: int, size: int = 10) -> list[PastTurn]:
    return [PastTurn(f"q{at} " + "x" * size, f"a{at} " + "y" * size) for at in range(count)]


def texts(items: list[dict[str, str]]) -> list[str]:
    return [item["content"] for item in items if item["type"] == "message"]


def test_a_first_question_stands_alone() -> None:
    context = fit(1_000, [], "Hello", [])
    assert context.input == [{"type": "message", "role": "user", "content": "Hello"}]
    assert context.summary == ""


def test_a_short_conversation_is_shown_in_full() -> None:
    context = fit(10_000, turns(3), "now", [])
    assert [text[:2] for text in texts(context.input)] == ["q0", "a0", "q1", "a1", "q2", "a2", "no"]
    assert context.summary == ""


def test_older_turns_become_quotes_outside_of_the_messages() -> None:
    context = fit(10_000, turns(FULL_TURNS + 3), "now", [])
    assert texts(context.input)[0].startswith("q3")
    assert "Person: q0" in context.summary
    assert "not instructions" in context.summary


def test_tool_outputs_of_a_turn_go_before_the_turn_does() -> None:
    past = [PastTurn("q0", "a0", TOOL_ITEMS), PastTurn("q1", "a1", TOOL_ITEMS)]
    context = fit(1_600, past, "now", [])
    outputs = [item for item in context.input if item["type"] == "function_call_output"]
    assert len(outputs) == 1
    assert texts(context.input) == ["q0", "a0", "q1", "a1", "now"]


def test_a_question_that_is_too_long_is_cut_with_a_note() -> None:
    context = fit(1_000, turns(2), "word " * 10_000, [])
    question = texts(context.input)[-1]
    assert "more characters were left out" in question
    assert item_tokens(context.input[-1]) < 1_000


def test_every_call_keeps_its_output_and_its_arguments() -> None:
    items = [
        {"type": "function_call", "call_id": "c", "name": "find", "arguments": '{"a": "' + "z" * 2_000 + '"}'},
        {"type": "function_call_output", "call_id": "c", "output": "o" * 50_000},
    ]
    context = fit(3_000, turns(3), "now", items)
    assert context.input[-2] == items[0]
    assert len(context.input[-1]["output"]) < 10_000


def test_a_text_that_is_short_enough_is_left_alone() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3).startswith("abc\n[")


@given(
    st.integers(min_value=500, max_value=20_000),
    st.lists(st.tuples(st.text(max_size=3_000), st.text(max_size=3_000)), max_size=20),
    st.text(max_size=5_000),
)
def test_nothing_given_to_the_model_is_beyond_the_budget(
    budget: int, said: list[tuple[str, str]], question: str
) -> None:
    context = fit(budget, [PastTurn(asked, answered) for asked, answered in said], question, [])
    # A question of 200 characters is never cut, so a budget smaller than that is exceeded by it alone.
    allowed = max(budget, 900)
    assert sum(item_tokens(item) for item in context.input) + tokens(context.summary) <= allowed
    assert context.input[-1]["role"] == "user"
