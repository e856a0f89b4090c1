"""Pressing instead of writing in Slack: the decision becomes one ticket, whoever presses how often, and the message shows it."""

from integration_dispatcher.domain.slack_message import MOVED
from local_stack.slack.records import Message

from tests.support.slack import MENTION, SlackWorld, labels
from tests.support.system import System
from tests.support.talks import TICKET
from tests.support.waiting import eventually

HELP = "#it-help"
YES, NO, BAD = "Yes, go ahead", "No", "👎"


async def with_button(slack: SlackWorld, where: str, label: str) -> Message:
    """The app's message there that has this button, once it is there."""

    async def look() -> list[Message]:
        return [each for each in slack.messages(where, by_app=True) if label in labels(each)]

    return (await eventually(look))[0]


async def without_button(message: Message, label: str) -> None:
    async def look() -> bool:
        return label not in labels(message)

    await eventually(look)


async def ticket_told(slack: SlackWorld) -> str:
    """What alice reads once her ticket is there."""

    async def look() -> list[str]:
        return [each.text for each in slack.messages("alice", by_app=True) if TICKET.search(each.text)]

    return (await eventually(look))[0]


async def asked_whether_to_order(slack: SlackWorld) -> Message:
    """Alice has answered everything in her direct message up to that question."""
    for number, words in enumerate(("I need a new laptop", "yes", "1"), start=1):
        slack.say("alice", "", words)
        await slack.answers("alice", number)
    return await with_button(slack, "alice", YES)


async def test_pressing_yes_orders_one_laptop_however_often_it_is_pressed(system: System) -> None:
    slack = system.slack
    question = await asked_whether_to_order(slack)

    presses = [await slack.press("alice", question, each) for each in (YES, YES, NO) if each in labels(question)]
    told = await ticket_told(slack)
    await without_button(question, YES)
    await slack.idle()
    await system.idle()

    [ticket] = system.tickets_of("alice")
    assert ticket.number in told
    assert "You said yes" in str(question.blocks)
    assert all(each.is_taken for each in presses)
    assert (slack.violations, slack.pings) == ([], [])


async def test_pressing_no_orders_nothing_and_says_so(system: System) -> None:
    slack = system.slack
    question = await asked_whether_to_order(slack)

    await slack.press("alice", question, NO)
    await without_button(question, NO)
    await slack.idle()
    await system.idle()

    assert system.tickets_of("alice") == []
    assert "You said no" in str(question.blocks)


async def test_what_is_asked_in_a_channel_and_personal_is_answered_and_decided_in_private(system: System) -> None:
    slack = system.slack
    thread = slack.say("alice", HELP, f"{MENTION} I need a new laptop")
    await slack.answers(HELP, 1)
    for number, words in enumerate(("yes", "1"), start=2):
        slack.say("alice", HELP, words, thread)
        await slack.answers(HELP, number)

    await slack.press("alice", await with_button(slack, "alice", YES), YES)
    told = await ticket_told(slack)
    await slack.idle()
    await system.idle()

    [ticket] = system.tickets_of("alice")
    assert ticket.number in told
    in_public = [each.text for each in slack.messages(HELP, by_app=True)]
    assert not any(TICKET.search(text) for text in in_public)
    assert MOVED in in_public
    assert slack.pings == []


async def test_feedback_reaches_the_request_and_only_its_person_can_give_it(system: System) -> None:
    slack = system.slack
    slack.say("alice", HELP, f"{MENTION} hello")
    answer = await with_button(slack, HELP, BAD)

    await slack.press("noah", answer, BAD)

    async def noah_was_told() -> bool:
        return bool(slack.only_for("noah"))

    await eventually(noah_was_told)
    assert BAD in labels(answer)
    await slack.press("alice", answer, BAD)
    await without_button(answer, BAD)
    await slack.idle()
    await system.idle()

    [request] = (await system.get("alice", "/api/v1/requests")).json()["items"]
    detail = (await system.get("alice", f"/api/v1/requests/{request['request_id']}")).json()
    assert detail["feedback"]["rating"] == "down"
    assert slack.view("alice") is not None
    assert slack.view("noah") is None
