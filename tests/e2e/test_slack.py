"""Asking in Slack: by direct message and in a channel's thread, up to the ticket; what the person sees meanwhile and at the end."""

from shared_models.slack_manifest import ASK_SHORTCUT

from tests.support.slack import MENTION
from tests.support.system import System
from tests.support.talks import TICKET

HELP_CHANNEL = "#it-help"


async def test_a_direct_message_leads_to_one_ticket(system: System) -> None:
    slack = system.slack
    for number, words in enumerate(("I need a new laptop", "yes", "1", "yes"), start=1):
        slack.say("alice", "", words)
        await slack.answers("alice", number)
    await system.idle()
    [ticket] = system.tickets_of("alice")
    last = slack.messages("alice", by_app=True)[-1]
    assert TICKET.search(last.text)
    assert ticket.number in last.text
    assert slack.violations == []


async def test_a_thread_is_a_conversation_in_which_one_need_not_call_again(system: System) -> None:
    slack = system.slack
    thread = slack.say("alice", HELP_CHANNEL, f"{MENTION} hello")
    await slack.answers(HELP_CHANNEL, 1)
    slack.say("alice", HELP_CHANNEL, "status", thread=thread)
    slack.say("noah", HELP_CHANNEL, "hello to you all", thread=thread)
    first, second = await slack.answers(HELP_CHANNEL, 2)
    await slack.idle()
    await system.idle()
    assert {first.thread_ts, second.thread_ts} == {thread}
    assert len(slack.messages(HELP_CHANNEL, by_app=True)) == 2
    sessions = (await system.get("alice", "/api/v1/sessions")).json()["items"]
    assert [each["request_count"] for each in sessions] == [2]


async def test_the_shortcut_on_a_message_is_answered_by_direct_message(system: System) -> None:
    slack = system.slack
    said = slack.standin.say("noah", HELP_CHANNEL, "How do I get into the VPN?")
    await slack.standin.shortcut("alice", ASK_SHORTCUT, HELP_CHANNEL, said.ts)
    [answer] = await slack.answers("alice", 1)
    await slack.idle()
    await system.idle()
    assert answer.text
    [asked] = (await system.get("alice", "/api/v1/requests")).json()["items"]
    assert (asked["status"], "How do I get into the VPN?" in asked["excerpt"]) == ("completed", True)
    assert slack.messages(HELP_CHANNEL, by_app=True) == []


async def test_the_slash_command_is_answered_by_direct_message(system: System) -> None:
    await system.slack.command("alice", HELP_CHANNEL, "/it", "hello")
    [answer] = await system.slack.answers("alice", 1)
    assert answer.text
    await system.idle()
