"""The turn loop: tools, handing over, knowledge, limits, and everything that may fail."""

import asyncio

from agent_service.domain.answers import CUT_OFF_NOTE
from agent_service.domain.ports import ModelCall, ModelReply, Passage, ToolResult
from agent_service.domain.turn import MAX_TEXT_CHARS
from agent_service.errors import (
    KnowledgeUnavailable,
    ModelAuthFailed,
    ModelContextOverflow,
    ModelGarbage,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
    ToolTimeout,
)
from shared_models.enums import RequestStatus
from shared_models.schemas import AgentResponse

from tests.support.agent_world import LAPTOP, LIMITS, ROUTER, AgentWorld, agent_world
from tests.support.scripted_outside import Scripted, calls, says

TO_LAPTOPS = calls(("transfer_to_agent", {"agent": "laptop-refresh"}))
PASSAGE = Passage("VPN guide", "Sign in", "Start the client and sign in.", 0.9)
OTHER = Passage("Wi-Fi guide", "Guests", "Guests use the guest net.", 0.5)


def content(answer: AgentResponse) -> str:
    assert answer.response is not None, answer.error
    return answer.response.content


def outputs(call: ModelCall) -> list[str]:
    return [item["output"] for item in call.input if item["type"] == "function_call_output"]


async def test_a_tool_is_called_as_the_person_and_its_output_goes_to_the_model(world: AgentWorld) -> None:
    world.tools.answers["find_my_laptops"] = '{"laptops": []}'
    world.model.will(TO_LAPTOPS, calls(("find_my_laptops", {})), says("You have none."))
    answer = await world.ask("Which laptop do I have?")
    assert content(answer) == "You have none."
    [call] = world.tools.called
    assert (call.server, call.identity.email, call.identity.tool) == (
        "servicenow",
        "ana@example.org",
        "find_my_laptops",
    )
    assert (call.identity.request_id, call.identity.intent) == (answer.request_id, "")
    assert outputs(world.model.seen[-1]) == ['{"agent":"laptop-refresh"}', '{"laptops": []}']
    assert answer.response is not None
    assert [(use.name, use.server, use.outcome) for use in answer.response.tools] == [
        ("find_my_laptops", "servicenow", "ok")
    ]
    assert answer.response.usage.model_calls == 3
    assert answer.response.usage.input_tokens == 30


async def test_the_chosen_agent_stays_until_it_hands_back(world: AgentWorld) -> None:
    world.model.will(TO_LAPTOPS, says("Which one?"), says("The same agent."))
    first = await world.ask("I need a laptop")
    assert first.response is not None
    assert first.response.agent.name == "laptop-refresh"
    await world.ask("hm", session=first.session_id)
    assert world.model.seen[-1].agent == "laptop-refresh"
    world.model.will(calls(("transfer_to_agent", {"agent": "routing-agent"})), says("Anything else?"))
    back = await world.ask("nothing more", session=first.session_id)
    assert back.response is not None
    assert back.response.agent.name == "routing-agent"
    view = await world.get(f"/api/v1/sessions/{first.session_id}")
    assert (view["agent"], view["agent_version"]) == ("routing-agent", "r1")


async def test_an_unknown_agent_is_an_error_for_the_model(world: AgentWorld) -> None:
    world.model.will(calls(("transfer_to_agent", {"agent": "boss"})), says("laptop-refresh is who you need."))
    answer = await world.ask("Hello")
    assert answer.response is not None
    assert answer.response.agent.name == "routing-agent"
    assert "must be one of: laptop-refresh" in outputs(world.model.seen[-1])[0]


async def test_agents_that_pass_a_person_to_and_fro_are_stopped(world: AgentWorld) -> None:
    def to_the_other(call: ModelCall) -> ModelReply:
        other = "laptop-refresh" if call.agent == "routing-agent" else "routing-agent"
        return calls(("transfer_to_agent", {"agent": other}))

    world.model.will(*[to_the_other] * 4, says("I answer myself."))
    assert content(await world.ask("Hello")) == "I answer myself."
    assert "too often" in outputs(world.model.seen[-1])[-1]


async def test_an_agent_that_is_no_longer_installed_gives_way_to_the_first_one(database_url: str) -> None:
    async with agent_world(database_url) as world:
        world.model.will(TO_LAPTOPS, says("Which one?"))
        session = (await world.ask("I need a laptop")).session_id
    world.agents = (ROUTER,)
    async with agent_world(database_url, world):
        await world.ask("still there?", session=session)
    assert world.model.seen[-1].agent == "routing-agent"


async def test_tools_that_only_read_run_side_by_side_and_others_alone(world: AgentWorld) -> None:
    world.model.will(TO_LAPTOPS, calls(("find_my_laptops", {}), ("check_laptop_eligibility", {})), says("Done."))
    await world.ask("laptops")
    assert world.tools.most_at_once == 2
    world.tools.most_at_once = 0
    noted = ("note_something", {"text": "a"})
    world.model.will(TO_LAPTOPS, calls(noted, noted), says("Done."))
    await world.ask("laptops")
    assert world.tools.most_at_once == 1


async def test_passages_are_searched_in_the_agents_bases_and_cited(world: AgentWorld) -> None:
    world.knowledge.passages = [OTHER, PASSAGE]
    world.model.will(calls(("search_knowledge", {"query": "vpn"})), says("Sign in. [VPN guide, Sign in]"))
    answer = await world.ask("How do I use the VPN?")
    assert world.knowledge.asked == [(["it-help"], "vpn")]
    assert answer.response is not None
    assert [(each.document, each.section) for each in answer.response.citations] == [("VPN guide", "Sign in")]
    assert "Start the client" in outputs(world.model.seen[-1])[0]


async def test_the_best_passages_are_cited_when_the_text_names_none(world: AgentWorld) -> None:
    world.knowledge.passages = [OTHER, PASSAGE]
    world.model.will(calls(("search_knowledge", {"query": "vpn"})), says("Sign in."))
    answer = await world.ask("How do I use the VPN?")
    assert answer.response is not None
    assert [each.document for each in answer.response.citations] == ["VPN guide", "Wi-Fi guide"]


async def test_a_model_call_that_fails_for_a_moment_is_asked_again(world: AgentWorld) -> None:
    moments: list[Scripted] = [
        ModelUnavailable("refused"),
        ModelTimeout(),
        ModelGarbage(),
        ModelRateLimited(),
        says(""),
        says("  \n"),
    ]
    for failure in moments:
        world.model.will(failure, failure, says("There you are."))
        assert content(await world.ask("Hello")) == "There you are."
    assert len(world.model.seen) == 3 * len(moments)


ENDS = [
    (ModelUnavailable("secret-host refused"), "model_unavailable", True, 3),
    (ModelTimeout("secret-host"), "model_timeout", True, 3),
    (ModelRateLimited("secret-host", retry_after_s=0.01), "model_rate_limited", True, 3),
    (ModelRateLimited("secret-host", retry_after_s=600), "model_rate_limited", True, 1),
    (ModelGarbage("secret-host"), "model_garbage", True, 3),
    (ModelAuthFailed("secret-host"), "model_auth_failed", False, 1),
    (ModelContextOverflow("secret-host"), "model_context_overflow", False, 2),
]


async def test_a_model_that_stays_away_ends_the_request_in_plain_words(world: AgentWorld) -> None:
    for failure, code, is_retryable, times in ENDS:
        world.model.always = failure
        world.model.seen.clear()
        answer = await world.ask("Hello")
        assert (answer.status, answer.response) == (RequestStatus.FAILED, None)
        assert answer.error is not None
        assert (answer.error.code, answer.error.retryable) == (code, is_retryable)
        assert "secret-host" not in answer.error.message
        assert len(world.model.seen) == times
        world.model.always = says("Back again.")
        assert content(await world.ask("Hello again", session=answer.session_id)) == "Back again."


async def test_a_context_that_is_too_long_is_tried_once_more_with_half_of_it(world: AgentWorld) -> None:
    session = None
    for at in range(6):
        session = (await world.ask(f"{at} " + "long " * 1500, session=session)).session_id
    world.model.will(ModelContextOverflow(), says("Now it fits."))
    assert content(await world.ask("And now?", session=session)) == "Now it fits."
    full, half = (sum(len(str(item)) for item in call.input) for call in world.model.seen[-2:])
    assert half < full * 0.7


async def test_a_hanging_model_ends_with_its_turn(database_url: str) -> None:
    limits = LIMITS.model_copy(update={"turn_s": 0.2})
    quick = tuple(agent.__class__(**{**agent.__dict__, "limits": limits}) for agent in (ROUTER, LAPTOP))
    async with agent_world(database_url, AgentWorld(database_url, agents=quick)) as world:
        world.model.hold()
        answer = await world.ask("Hello")
        assert answer.error is not None
        assert (answer.status, answer.error.code) == (RequestStatus.FAILED, "turn_timeout")


async def test_an_endless_loop_of_tools_is_stopped_and_told(world: AgentWorld) -> None:
    world.model.always = calls(("search_knowledge", {"query": "more"}))
    answer = await world.ask("Hello")
    assert answer.error is not None
    assert (answer.status, answer.error.code, answer.error.retryable) == (
        RequestStatus.FAILED,
        "too_many_steps",
        True,
    )
    assert len(world.model.seen) == LIMITS.model_calls
    assert len(world.knowledge.asked) <= LIMITS.tool_calls


async def test_too_many_tools_at_once_are_not_run(world: AgentWorld) -> None:
    world.model.will(calls(*[("search_knowledge", {"query": "more"})] * 50))
    answer = await world.ask("Hello")
    assert answer.error is not None
    assert answer.error.code == "too_many_steps"
    assert world.knowledge.asked == []


GARBAGE = ["{", "[]", "null", '"text"', '{"query": 5}', '{"quer": "a"}', "{}", "x" * 30_000]


async def test_garbage_as_arguments_is_explained_to_the_model(world: AgentWorld) -> None:
    for arguments in GARBAGE:
        world.model.will(calls(("search_knowledge", arguments)), says("Sorry."))
        assert content(await world.ask("Hello")) == "Sorry."
        assert outputs(world.model.seen[-1])[0].startswith("Error: "), arguments
    assert world.knowledge.asked == []


async def test_a_model_that_only_makes_garbage_calls_fails(world: AgentWorld) -> None:
    world.model.always = calls(("no_such_tool", "{"))
    answer = await world.ask("Hello")
    assert answer.error is not None
    assert answer.error.code == "model_garbage"


async def test_a_tool_of_another_agent_is_not_there(world: AgentWorld) -> None:
    world.model.will(calls(("find_my_laptops", {})), says("I cannot look that up."))
    await world.ask("My laptop?")
    assert world.tools.called == []


async def test_a_tool_server_that_is_down_tells_no_fact(world: AgentWorld) -> None:
    world.tools.is_down = True
    world.model.will(TO_LAPTOPS)
    world.model.always = says("Your laptop is surely two years old.")
    answer = await world.ask("How old is my laptop?")
    assert answer.status is RequestStatus.FAILED
    assert answer.error is not None
    assert (answer.error.code, answer.error.retryable) == ("tool_server_unavailable", True)
    assert "does not answer right now" in answer.error.message
    assert len(world.model.seen) == 1


async def test_a_tool_server_that_comes_up_a_moment_later_is_waited_for(world: AgentWorld) -> None:
    world.tools.is_away_times = 2
    world.model.will(TO_LAPTOPS, says("Yes, I can look that up."))
    assert content(await world.ask("My laptop?")) == "Yes, I can look that up."
    assert world.tools.is_away_times == 0


async def test_a_tool_that_is_too_slow_ends_the_request(world: AgentWorld) -> None:
    world.tools.answers["find_my_laptops"] = ToolTimeout("servicenow")
    world.model.will(TO_LAPTOPS, calls(("find_my_laptops", {})))
    answer = await world.ask("My laptop?")
    assert answer.error is not None
    assert (answer.error.code, answer.error.retryable) == ("tool_timeout", True)


async def test_documents_that_cannot_be_searched_end_the_request(world: AgentWorld) -> None:
    world.knowledge.failure = KnowledgeUnavailable()
    world.model.will(calls(("search_knowledge", {"query": "vpn"})))
    answer = await world.ask("VPN?")
    assert answer.error is not None
    assert answer.error.code == "knowledge_unavailable"


async def test_a_refusal_of_a_tool_is_told_to_the_model(world: AgentWorld) -> None:
    world.tools.answers["find_my_laptops"] = ToolResult("You are not known here.", is_error=True)
    world.model.will(TO_LAPTOPS, calls(("find_my_laptops", {})), says("I do not find you."))
    assert content(await world.ask("My laptop?")) == "I do not find you."
    assert outputs(world.model.seen[-1])[-1] == "Error: You are not known here."


async def test_a_long_output_is_cut_with_a_note(world: AgentWorld) -> None:
    world.tools.answers["find_my_laptops"] = "x" * 300_000
    world.model.will(TO_LAPTOPS, calls(("find_my_laptops", {})), says("Long."))
    assert content(await world.ask("My laptop?")) == "Long."
    output = outputs(world.model.seen[-1])[-1]
    assert len(output) < 13_000
    assert "more characters were left out" in output


async def test_an_answer_that_is_cut_off_says_so(world: AgentWorld) -> None:
    world.model.will(says("A very long", is_cut_off=True))
    assert "ends here" in content(await world.ask("Hello"))


async def test_an_answer_that_no_event_could_carry_is_cut_off_and_says_so(world: AgentWorld) -> None:
    world.model.will(says("x" * 2_000_000))
    assert content(await world.ask("Hello")) == "x" * MAX_TEXT_CHARS + CUT_OFF_NOTE


async def test_text_that_no_database_takes_does_no_harm(world: AgentWorld) -> None:
    world.tools.answers["find_my_laptops"] = "a\x00b\ud800"
    world.model.will(TO_LAPTOPS, calls(("find_my_laptops", {}), text="\x00\udfff"), says("c\x00d\ud83d"))
    assert content(await world.ask("My laptop?")) == "cd?"


async def test_a_failed_turn_leaves_its_session_usable_and_its_words_in_the_conversation(world: AgentWorld) -> None:
    world.model.always = ModelUnavailable()
    failed = await world.ask("Hello")
    messages = await world.get(f"/api/v1/sessions/{failed.session_id}/messages")
    assert [said["role"] for said in messages["items"]] == ["user", "assistant"]
    assert failed.error is not None
    assert messages["items"][1]["content"] == failed.error.message


async def test_a_long_conversation_is_shown_within_the_budget(world: AgentWorld) -> None:
    session = None
    for at in range(14):
        session = (await world.ask(f"question {at} " + "word " * 300, session=session)).session_id
    last = world.model.seen[-1]
    assert "Earlier in this conversation" in last.instructions
    assert "question 2" in last.instructions
    assert last.input[-1]["content"].startswith("question 13")
    assert len([item for item in last.input if item["type"] == "message"]) == 17


async def test_bugs_are_tried_again_and_then_told(world: AgentWorld) -> None:
    world.model.always = ZeroDivisionError()
    request = world.request("Hello")
    task = asyncio.create_task(world.answer_to(request))
    await world.until_state(request, "failed")
    answer = await task
    assert answer.error is not None
    assert answer.error.code == "internal_error"
    assert await world.sql("select from work_items where dead_at is null") == []
