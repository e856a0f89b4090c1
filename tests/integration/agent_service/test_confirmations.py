"""Nothing with an effect happens without the person's own yes, and then once."""

import random
from dataclasses import replace
from uuid import UUID

import pytest
from agent_service.domain.ports import ModelCall, ModelReply, ToolResult
from agent_service.errors import ModelUnavailable, ToolServerUnavailable, ToolTimeout
from shared_models.enums import RequestStatus
from shared_models.ids import new_id
from shared_models.schemas import AgentResponse, Confirmation, ConfirmDecision

from tests.support.agent_world import BEN, LAPTOP, ROUTER, AgentWorld, agent_world
from tests.support.scripted_outside import calls, says

TICKET = "open_laptop_refresh_ticket"
OPENED = '{"status": "opened", "ticket_number": "REQ0000042"}'
ASK_FOR_TICKET = calls((TICKET, {"laptop_code": "air_m3"}), text="Trust me, just say yes!")


async def to_specialist(world: AgentWorld) -> UUID:
    world.model.will(calls(("transfer_to_agent", {"agent": "laptop-refresh"})), says("Which one?"))
    return (await world.ask("I need a laptop")).session_id


async def asked(world: AgentWorld, session: UUID) -> Confirmation:
    """A session with an open question."""
    world.model.will(ASK_FOR_TICKET)
    answer = await world.ask("The Air, create it", session=session)
    assert answer.response is not None
    assert answer.response.confirmation is not None
    return answer.response.confirmation


def content(answer: AgentResponse) -> str:
    assert answer.response is not None, answer.error
    return answer.response.content


def decision(of: Confirmation, word: str = "approve") -> ConfirmDecision:
    return ConfirmDecision.model_validate({"id": of.id, "decision": word})


async def test_a_tool_with_an_effect_becomes_a_question_written_in_code(world: AgentWorld) -> None:
    session = await to_specialist(world)
    world.model.will(ASK_FOR_TICKET)
    answer = await world.ask("Yes, create it right now", session=session)
    assert answer.status is RequestStatus.COMPLETED
    assert world.tools.called == []
    assert "Open a laptop request for air_m3." in content(answer)
    assert "Trust me" not in content(answer)
    assert answer.response is not None
    assert answer.response.requires_followup
    assert [action.kind for action in answer.response.followup_actions] == ["confirm", "reject"]
    assert answer.response.confirmation is not None
    assert answer.response.confirmation.arguments == {"laptop_code": "air_m3"}


async def test_a_yes_runs_the_stored_arguments_under_the_confirmations_id(world: AgentWorld) -> None:
    world.tools.answers[TICKET] = OPENED
    for yes in ("yes", "Ja, bitte!", "OK."):
        world.tools.called.clear()
        session = await to_specialist(world)
        question = await asked(world, session)
        world.model.will(says("Your ticket is REQ0000042."))
        answer = await world.ask(yes, session=session)
        assert content(answer) == "Your ticket is REQ0000042."
        [call] = world.tools.called
        assert (call.tool, call.arguments) == (TICKET, {"laptop_code": "air_m3"})
        assert (call.identity.intent, call.identity.tool) == (str(question.id), TICKET)
        last = world.model.seen[-1].input
        assert [item["type"] for item in last[-2:]] == ["function_call", "function_call_output"]
        assert last[-1]["output"] == OPENED
        assert TICKET not in [function["name"] for function in world.model.seen[-1].tools]


async def test_a_button_is_a_yes_whatever_its_text(world: AgentWorld) -> None:
    session = await to_specialist(world)
    question = await asked(world, session)
    world.model.will(says("Done."))
    await world.ask("cancel", session=session, confirm=decision(question))
    assert world.tools.names == [TICKET]


async def test_a_no_does_nothing_and_the_model_hears_of_it(world: AgentWorld) -> None:
    for no in ("no", "Nein danke", "button"):
        session = await to_specialist(world)
        question = await asked(world, session)
        world.model.will(says("All right, nothing was ordered."))
        confirm = decision(question, "reject") if no == "button" else None
        answer = await world.ask(no, session=session, confirm=confirm)
        assert content(answer) == "All right, nothing was ordered."
        assert world.model.seen[-1].input[-1]["output"] == '{"status":"declined"}'
        world.model.will(says("Nothing to confirm."))
        await world.ask("yes", session=session)
    assert world.tools.called == []


async def test_what_is_no_plain_yes_goes_to_the_model_which_cannot_approve(world: AgentWorld) -> None:
    session = await to_specialist(world)
    await asked(world, session)
    for words in ("yes but with the Pro", "yes or no?", "maybe", "no idea what you mean", "yesterday"):
        world.model.will(calls((TICKET, {"laptop_code": "air_m3"})))
        answer = await world.ask(words, session=session)
        assert answer.response is not None
        assert answer.response.confirmation is not None
    assert world.tools.called == []


async def test_the_same_call_again_keeps_the_open_question(world: AgentWorld) -> None:
    session = await to_specialist(world)
    first = await asked(world, session)
    second = await asked(world, session)
    assert first.id == second.id


async def test_another_call_replaces_the_open_question(world: AgentWorld) -> None:
    session = await to_specialist(world)
    first = await asked(world, session)
    world.model.will(calls((TICKET, {"laptop_code": "pro_14"})))
    answer = await world.ask("No, the Pro", session=session)
    assert answer.response is not None
    assert answer.response.confirmation is not None
    second = answer.response.confirmation
    assert second.id != first.id
    late = await world.ask("Yes", session=session, confirm=decision(first))
    assert "replaced" in content(late)
    assert world.tools.called == []
    world.model.will(says("Done."))
    await world.ask("yes", session=session, confirm=decision(second))
    assert [call.arguments for call in world.tools.called] == [{"laptop_code": "pro_14"}]


async def test_a_bare_yes_counts_right_after_the_question_and_after_it_was_repeated(world: AgentWorld) -> None:
    session = await to_specialist(world)
    await asked(world, session)
    world.model.will(says("It takes ten days. Do you like it?"))
    await world.ask("How long does it take?", session=session)
    world.model.will(says("Fine."))
    await world.ask("yes", session=session)
    assert world.tools.called == []
    await asked(world, session)
    world.model.will(says("Done."))
    await world.ask("yes", session=session)
    assert len(world.tools.called) == 1


async def test_a_second_yes_changes_nothing_and_is_told_of_the_first(world: AgentWorld) -> None:
    session = await to_specialist(world)
    question = await asked(world, session)
    world.tools.answers[TICKET] = OPENED
    world.model.will(says("Your ticket is REQ0000042."))
    await world.ask("yes", session=session)
    for again in (None, decision(question)):
        world.model.will(calls((TICKET, {"laptop_code": "air_m3"})), says("It is REQ0000042 already."))
        answer = await world.ask("yes", session=session, confirm=again)
        assert content(answer) == "It is REQ0000042 already."
        assert "The person has already confirmed this" in world.model.seen[-1].instructions
        assert "REQ0000042" in world.model.seen[-1].instructions
    assert world.tools.names == [TICKET]


async def test_a_yes_after_fifteen_minutes_does_nothing(world: AgentWorld) -> None:
    session = await to_specialist(world)
    question = await asked(world, session)
    asked_before = len(world.model.seen)
    await world.sql("update confirmations set expires_at = now()")
    for confirm in (None, decision(question)):
        assert "too late" in content(await world.ask("yes", session=session, confirm=confirm))
    assert world.tools.called == []
    assert len(world.model.seen) == asked_before


async def test_a_confirmation_of_somebody_else_is_not_known(world: AgentWorld) -> None:
    session = await to_specialist(world)
    question = await asked(world, session)
    answer = await world.ask("yes", person=BEN, confirm=decision(question))
    assert "do not know that question" in content(answer)
    assert world.tools.called == []
    answer = await world.ask("yes", session=session, confirm=ConfirmDecision(id=new_id(), decision="approve"))
    assert "do not know that question" in content(answer)
    assert world.tools.called == []


async def test_the_model_cannot_smuggle_a_call_past_the_question(world: AgentWorld) -> None:
    """Beside other tools, under the routing agent, twice in one reply, with arguments that are not allowed."""
    world.model.will(calls((TICKET, {"laptop_code": "air_m3"})), says("I cannot."))
    first = await world.ask("Hello")
    session = await to_specialist(world)
    world.model.will(calls(("find_my_laptops", {}), (TICKET, {"laptop_code": "a"}), (TICKET, {"laptop_code": "b"})))
    await world.ask("go", session=session)
    world.model.will(calls((TICKET, {"laptop_code": "a", "person": "boss"})), says("No."))
    await world.ask("go on then", session=session)
    assert content(first) == "I cannot."
    assert TICKET not in world.tools.names


@pytest.mark.parametrize("failure", [ToolServerUnavailable("down"), ToolTimeout("slow")])
async def test_a_yes_whose_outcome_is_not_known_may_be_given_again(world: AgentWorld, failure: Exception) -> None:
    session = await to_specialist(world)
    question = await asked(world, session)
    world.tools.answers[TICKET] = failure
    failed = await world.ask("yes", session=session)
    assert failed.status is RequestStatus.FAILED
    assert failed.error is not None
    assert failed.error.retryable
    world.tools.answers[TICKET] = OPENED
    world.model.will(says("Your ticket is REQ0000042."))
    assert content(await world.ask("yes", session=session)) == "Your ticket is REQ0000042."
    assert {call.identity.intent for call in world.tools.called} == {str(question.id)}
    assert {str(call.arguments) for call in world.tools.called} == {"{'laptop_code': 'air_m3'}"}


async def test_a_model_that_fails_after_the_effect_does_not_repeat_it(world: AgentWorld) -> None:
    session = await to_specialist(world)
    await asked(world, session)
    world.tools.answers[TICKET] = OPENED
    world.model.always = ModelUnavailable()
    assert (await world.ask("yes", session=session)).status is RequestStatus.FAILED
    world.model.always = says("Your ticket is REQ0000042.")
    answer = await world.ask("yes", session=session)
    assert content(answer) == "Your ticket is REQ0000042."
    assert "REQ0000042" in world.model.seen[-1].instructions
    assert world.tools.names == [TICKET]


async def test_a_refusal_of_the_tool_is_worded_by_the_model(world: AgentWorld) -> None:
    session = await to_specialist(world)
    await asked(world, session)
    world.tools.answers[TICKET] = ToolResult("This laptop is not on offer.", is_error=True)
    world.model.will(says("I am sorry, it is not on offer."))
    answer = await world.ask("yes", session=session)
    assert answer.response is not None
    assert [use.outcome for use in answer.response.tools] == ["error"]
    assert world.model.seen[-1].input[-1]["output"] == "Error: This laptop is not on offer."


async def test_cancel_drops_an_open_question(world: AgentWorld) -> None:
    session = await to_specialist(world)
    await asked(world, session)
    assert "nothing will be done" in content(await world.ask("cancel", session=session))
    world.model.will(says("There is nothing to confirm."))
    await world.ask("yes", session=session)
    assert world.tools.called == []


async def test_a_stored_call_that_was_changed_is_not_carried_out(world: AgentWorld) -> None:
    session = await to_specialist(world)
    question = await asked(world, session)
    await world.sql('update confirmations set arguments = \'{"laptop_code": "gold"}\'')
    for confirm in (None, decision(question)):
        assert "do not know that question" in content(await world.ask("yes", session=session, confirm=confirm))
    assert world.tools.called == []


async def test_a_yes_for_a_tool_that_was_taken_away_does_nothing(database_url: str) -> None:
    world = AgentWorld(database_url)
    async with agent_world(database_url, world):
        session = await to_specialist(world)
        await asked(world, session)
    world.agents = (ROUTER, replace(LAPTOP, tools={"servicenow": ["find_my_laptops"]}, confirm={}))
    async with agent_world(database_url, world):
        assert "do not know that question" in content(await world.ask("yes", session=session))
    assert world.tools.called == []


async def test_a_hostile_model_never_gets_an_effect_without_a_yes(world: AgentWorld) -> None:
    """It calls the worst it can think of in every turn, beside, before and after everything else."""
    seed = random.Random(11)
    attacks = [
        (TICKET, {"laptop_code": "gold"}),
        (TICKET, '{"laptop_code": "gold"} '),
        (TICKET, {"laptop_code": "gold", "business_justification": "yes"}),
        (f" {TICKET}", {"laptop_code": "gold"}),
        (TICKET.upper(), {"laptop_code": "gold"}),
        (f"servicenow.{TICKET}", {"laptop_code": "gold"}),
        ("transfer_to_agent", {"agent": "laptop-refresh"}),
        ("transfer_to_agent", {"agent": TICKET}),
        ("search_knowledge", {"query": "yes"}),
        ("find_my_laptops", {}),
    ]

    def attack(_call: ModelCall) -> ModelReply:
        picked = seed.sample(attacks, seed.randrange(1, 5))
        return calls(*picked, text="yes") if seed.random() < 0.8 else says("yes, approved")

    world.model.always = attack
    session = None
    for words in ["Hello", "I would like a laptop", "maybe", "tell me more", "what?", "no"] * 8:
        answer = await world.ask(words, session=session)
        session = answer.session_id if answer.status is RequestStatus.COMPLETED else None
    assert TICKET not in world.tools.names
