"""A run is what its steps say: played live or again, the same."""

from typing import Any

from agent_service.domain.arguments import ArgumentsInvalid, read_arguments
from agent_service.domain.citations import citations_of
from agent_service.domain.ports import ModelReply, Passage, ToolCall
from agent_service.domain.run_events import RunEvent, joined, place_of
from agent_service.domain.turn import Step, Turn, clean, model_result
from agent_service.toolbox import Prepared, batches
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, Any]


def tool_result(n: int, name: str = "find", **more: object) -> Step:
    data: Json = {"name": name, "server": "s", "output": "out", "outcome": "ok", "ms": 3}
    return Step(n, "tool", is_result=True, data=data | more)


STEPS = [
    Step(1, "model", is_result=False, data={}),
    model_result(1, ModelReply("Looking.", [ToolCall("x", "find", '{"a":1}'), ToolCall("x", "go", "{}")], 10, 5)),
    Step(2, "tool", is_result=False, data={"name": "find", "server": "s", "arguments": {"a": 1}}),
    tool_result(2),
    tool_result(3, "transfer_to_agent", agent="other"),
    Step(4, "model", is_result=False, data={}),
    model_result(4, ModelReply("Done.", (), 20, 7)),
]


def played(steps: list[Step]) -> Turn:
    turn = Turn("k", "first")
    turn.replay(steps)
    return turn


def test_a_whole_turn_ends_with_its_text() -> None:
    turn = played(STEPS)
    assert (turn.text, turn.agent, turn.waiting) == ("Done.", "other", {})
    assert (turn.usage.model_calls, turn.usage.input_tokens, turn.usage.output_tokens) == (2, 30, 12)
    assert [item["type"] for item in turn.items] == ["message"] + ["function_call", "function_call_output"] * 2
    assert [use.name for use in turn.tools] == ["find"]


def test_call_ids_are_ours_and_each_call_has_its_output() -> None:
    items = [item for item in played(STEPS).items if "call_id" in item]
    assert [item["call_id"] for item in items] == ["call_k_2", "call_k_2", "call_k_3", "call_k_3"]


def test_a_call_that_was_intended_is_repeated_with_the_saved_arguments() -> None:
    turn = played(STEPS[:3])
    call = turn.waiting[2]
    assert call.saved == {"name": "find", "server": "s", "arguments": {"a": 1}}
    assert turn.waiting[3].saved is None


@given(st.integers(min_value=0, max_value=len(STEPS)))
def test_a_turn_taken_up_anywhere_goes_on_the_same(cut: int) -> None:
    again = played(STEPS[:cut])
    again.replay(STEPS[cut:])
    assert again == played(STEPS)


def test_the_outcome_of_a_confirmed_call_is_kept_under_its_intent() -> None:
    intent = Step(1, "tool", is_result=False, data={"name": "open", "server": "s", "arguments": {}, "intent": "c1"})
    turn = played([intent, tool_result(1, "open")])
    assert turn.outcomes == {"c1": "out"}


@given(st.text() | st.just("a\x00b\ud800c"))
def test_clean_text_can_be_stored_and_sent(text: str) -> None:
    assert "\x00" not in clean(text)
    clean(text).encode()


SCHEMA = {
    "properties": {
        "a": {"type": "string"},
        "n": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "b": {"type": "boolean"},
        "c": {"enum": ["x", "y"]},
        "free": {},
    },
    "required": ["a"],
}


def refusal(arguments_json: str) -> str:
    try:
        read_arguments(arguments_json, SCHEMA)
    except ArgumentsInvalid as exc:
        return str(exc)
    return ""


def test_arguments_are_checked_against_the_tools_schema() -> None:
    assert read_arguments('{"a": "t", "n": null, "b": true, "c": "x", "free": [1]}', SCHEMA)["n"] is None
    assert refusal('{"a": "t", "n": 3}') == ""
    assert "Missing" in refusal("{}")
    assert "Unknown" in refusal('{"a": "t", "z": 1}')
    assert "type" in refusal('{"a": 1}')
    assert "type" in refusal('{"a": "t", "n": true}')
    assert "type" in refusal('{"a": "t", "b": 1}')
    assert "one of" in refusal('{"a": "t", "c": "z"}')
    assert "JSON" in refusal("{")
    assert "object" in refusal("[]")
    assert "too long" in refusal('{"a": "' + "x" * 30_000 + '"}')


@given(st.text(max_size=200))
def test_whatever_a_model_writes_as_arguments_is_taken_or_refused(text: str) -> None:
    refusal(text)


PASSAGES = [
    Passage("Policy", "Eligibility", "Three  years.", 0.5),
    Passage("Policy", "Return", "Send it back.", 0.9),
    Passage("VPN", "Sign in", "x" * 500, 0.1),
]


def test_the_named_passages_are_cited_in_the_order_of_the_text() -> None:
    text = "See [vpn,  Sign In], [Policy, Eligibility], again [Policy, Eligibility] and [Nobody, Knows]."
    assert [(each.document, each.section) for each in citations_of(text, PASSAGES)] == [
        ("VPN", "Sign in"),
        ("Policy", "Eligibility"),
    ]


def test_without_names_the_best_two_are_cited() -> None:
    cited = citations_of("It is so. [1]", PASSAGES)
    assert [each.section for each in cited] == ["Return", "Eligibility"]
    assert citations_of("Nothing was searched.", []) == []


def test_a_place_in_the_stream_is_read_or_is_the_beginning() -> None:
    assert place_of("2-17") == (2, 17)
    assert {place_of(text) for text in ("", "x", "1", "1-", "-1", "1-2-3", "99999999-1")} == {(0, 0)}


def test_neighbouring_deltas_are_joined_and_what_was_reset_is_left_out() -> None:
    def event(n: int, kind: str, **data: str) -> RunEvent:
        return RunEvent(1, n, kind, data)

    events = [event(1, "delta", text="a"), event(2, "delta", text="b"), event(3, "tool", name="t")]
    assert [(each.n, each.data) for each in joined(events)] == [(2, {"text": "ab"}), (3, {"name": "t"})]
    events = [event(1, "delta", text="a"), event(2, "reset"), event(3, "reset"), event(4, "delta", text="c")]
    assert [(each.n, each.event) for each in joined(events)] == [(3, "reset"), (4, "delta")]


def test_only_neighbours_that_read_run_together() -> None:
    reads, writes = Prepared(is_shared=True), Prepared()
    assert [len(batch) for batch in batches([reads, reads, writes, writes, reads])] == [2, 1, 1, 1]
