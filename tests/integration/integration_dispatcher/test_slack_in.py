"""What people write in Slack becomes requests: once each, in order, of the right person, in the right conversation."""

import asyncio
import random
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.fake_slack import limits, refuses
from tests.support.slack_in import (
    BOT,
    CHANNEL,
    DIRECT,
    TEAM,
    SlackIn,
    envelope,
    member,
    message,
    slack_in,
    slack_settings,
    user_id,
)
from tests.support.waiting import eventually

ANA, BEN = user_id("ana@example.com"), user_id("ben@example.com")
CALLED = f"<@{BOT}> "


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[SlackIn]:
    async with slack_in(slack_settings(database_url)) as world:
        yield world


async def test_a_direct_message_becomes_a_request_of_the_person_with_that_verified_address(world: SlackIn) -> None:
    body = message("My laptop is &lt;slow&gt; &amp; loud")
    assert (await world.event(body)).status_code == 200
    await world.dispatcher.idle()
    [asked] = world.manager.asked
    assert (asked.user_id, asked.content) == (ANA, "My laptop is <slow> & loud")
    assert (asked.channel_id, asked.thread_id, asked.slack_user_id, asked.slack_team_id) == (DIRECT, None, "U1", TEAM)
    ts = body["event"]["ts"]
    assert list(world.manager.keys) == [f"slack:{TEAM}:{DIRECT}:{ts}"]
    assert (DIRECT, ts, "eyes") in world.slack.reactions
    [row] = await world.rows()
    assert (row["state"], row["user_id"], row["request_id"]) == (
        "forwarded",
        ANA,
        world.manager.keys[f"slack:T1:D1:{ts}"],
    )


async def test_slack_sends_it_again_or_as_two_events_and_it_is_one_request(world: SlackIn) -> None:
    direct = message("hello")
    as_message = message(CALLED + "hello", channel=CHANNEL)
    as_mention = envelope(as_message["event"] | {"type": "app_mention"})
    for body in (direct, direct, as_mention, as_message, as_mention):
        assert (await world.event(body, headers={"x-slack-retry-num": "1"})).status_code == 200
    await world.dispatcher.idle()
    assert world.manager.texts == ["hello", "hello"]


async def test_twenty_messages_at_once_are_twenty_requests_in_their_order(world: SlackIn) -> None:
    """They come in any order while the first is being worked on, each signed and posted on its own, and are asked in Slack's."""
    first, *others = [message(str(number)) for number in range(20)]
    world.manager.gate.clear()
    assert (await world.event(first)).status_code == 200
    await eventually(world.manager.is_asked)
    random.Random(20).shuffle(others)
    replies = await asyncio.gather(*(world.event(body) for body in others))
    world.manager.gate.set()
    assert {reply.status_code for reply in replies} == {200}
    await world.dispatcher.idle()
    assert world.manager.texts == [str(number) for number in range(20)]
    assert await world.states() == ["forwarded"] * 20


async def test_who_called_in_a_thread_need_not_call_again_and_others_are_left_alone(world: SlackIn) -> None:
    first = message(CALLED + "my laptop", channel=CHANNEL, type="app_mention")
    thread = first["event"]["ts"]
    await world.event(first)
    await world.dispatcher.idle()
    for text, user in (("yes please", "U1"), ("I have one too", "U2"), ("<@U2> thanks", "U1")):
        await world.event(message(text, channel=CHANNEL, user=user, thread_ts=thread))
        await world.dispatcher.idle()
    await world.event(message("of another thread", channel=CHANNEL, thread_ts="1600000000.000001"))
    await world.event(message("to everybody", channel=CHANNEL))
    await world.dispatcher.idle()
    assert world.manager.texts == ["my laptop", "yes please"]
    assert {asked.thread_id for asked in world.manager.asked} == {thread}
    assert await world.states() == ["forwarded", "forwarded", "ignored", "ignored", "ignored"]
    assert [row["payload"] for row in await world.rows()][2:] == [{}, {}, {}]


async def test_a_reply_to_a_message_of_ours_is_for_us(world: SlackIn) -> None:
    body = message("which one?", channel=CHANNEL, user="U2", thread_ts="1600000000.000001", parent_user_id=BOT)
    await world.event(body)
    await world.dispatcher.idle()
    [asked] = world.manager.asked
    assert (asked.user_id, asked.thread_id) == (BEN, "1600000000.000001")


async def test_what_bots_write_and_what_is_edited_deleted_or_joined_is_nothing(world: SlackIn) -> None:
    for changes in (
        {"bot_id": "B1"},
        {"user": BOT},
        {"subtype": "message_changed"},
        {"subtype": "message_deleted"},
        {"subtype": "channel_join"},
        {"subtype": "bot_message"},
        {"hidden": True},
    ):
        assert (await world.event(message("x", **changes))).status_code == 200
    for inner in ({"type": "app_home_opened", "user": "U1"}, {"type": "reaction_added"}):
        assert (await world.event(envelope(inner))).status_code == 200
    assert await world.rows() == []


async def test_a_mention_inside_a_thread_brings_what_was_said_there(world: SlackIn) -> None:
    thread = "1600000000.000001"
    said = [
        {"ts": thread, "user": "U2", "text": "old news"},
        {"ts": "1600000000.000002", "user": BOT, "bot_id": "B1", "text": "an answer"},
        {"ts": "1600000000.000003", "user": "U2", "text": "My <@U1> screen &lt;flickers&gt;"},
        {"ts": "1600000000.000004", "user": "U9", "text": "Mine too"},
    ]
    world.slack.faults["conversations.replies"] = [lambda _: httpx.Response(200, json={"ok": True, "messages": said})]
    await world.event(message(CALLED + "can you help?", channel=CHANNEL, type="app_mention", thread_ts=thread))
    await world.dispatcher.idle()
    [text] = world.manager.texts
    assert "Ben: My @U1 screen <flickers>\nSomebody: Mine too" in text
    assert text.endswith("My question:\ncan you help?")
    assert "old news" not in text
    [arguments] = world.slack.called("conversations.replies")
    assert int(arguments["limit"]) <= 100


async def test_a_thread_that_may_not_be_read_does_not_stop_the_question(world: SlackIn) -> None:
    world.slack.faults["conversations.replies"] = [refuses("missing_scope", needed="channels:history")]
    await world.event(message(CALLED + "can you help?", channel=CHANNEL, type="app_mention", thread_ts="1600000000.1"))
    await world.dispatcher.idle()
    assert world.manager.texts == ["can you help?"]


@pytest.mark.parametrize(
    "changes",
    [
        {"is_email_confirmed": False},
        {"deleted": True},
        {"is_bot": True},
        {"is_stranger": True},
        {"team_id": "T2"},
        {"profile": {"real_name": "Ana"}},
    ],
)
async def test_whose_address_is_not_verified_here_is_told_what_to_do(
    world: SlackIn, changes: dict[str, object]
) -> None:
    world.slack.members["U1"] = member("ana@example.com") | changes
    await world.event(message("hello"))
    await world.event(message(CALLED + "hello", channel=CHANNEL, type="app_mention"))
    await world.dispatcher.idle()
    assert world.manager.resolved == []
    assert world.manager.asked == []
    told = {each["channel"]: each for each in world.slack.messages}
    assert "verified e-mail address" in told[DIRECT]["text"]
    assert (told[CHANNEL]["user"], told[CHANNEL]["is_ephemeral"]) == ("U1", True)
    assert await world.states() == ["answered", "answered"]


async def test_a_person_is_asked_for_once_in_a_while(world: SlackIn) -> None:
    for text in ("one", "two", "three"):
        await world.event(message(text))
    await world.dispatcher.idle()
    assert len(world.slack.called("users.info")) == 1
    assert [body.external_id for body in world.manager.resolved] == [f"{TEAM}:U1"]


async def test_files_are_named_and_alone_they_are_answered_at_once(world: SlackIn) -> None:
    files = [{"name": "screen.png", "mimetype": "image/png", "url_private": "https://files.slack.com/secret"}]
    await world.event(message("what is this?", subtype="file_share", files=files))
    await world.event(message("", subtype="file_share", files=files))
    await world.dispatcher.idle()
    [asked] = world.manager.asked
    assert asked.metadata["unread_files"] == ["screen.png"]
    [told] = world.slack.messages
    assert "screen.png" in told["text"]
    assert "url_private" not in str(await world.rows())


async def test_the_slash_command_answers_in_a_direct_message_and_works_without_text(world: SlackIn) -> None:
    reply = await world.command()
    assert (reply.status_code, "/it my laptop" in reply.text) == (200, True)
    assert await world.rows() == []
    reply = await world.command("my laptop is slow")
    assert (reply.status_code, "direct message" in reply.text) == (200, True)
    await world.dispatcher.idle()
    [asked] = world.manager.asked
    assert (asked.content, asked.channel_id, asked.thread_id) == ("my laptop is slow", "DU1", None)


async def test_the_shortcut_on_a_message_asks_about_its_words_in_a_direct_message(world: SlackIn) -> None:
    """They are somebody else's words: no command, and no yes to an open question."""
    for number, words in enumerate(("My screen &amp; I <!channel>", "yes", "cancel", "")):
        about = {"type": "message", "user": "U2", "ts": "1600000000.000001", "text": words}
        shortcut: dict[str, object] = {
            "type": "message_action",
            "callback_id": "ssa_ask",
            "trigger_id": f"9.{number}.b",
        }
        shortcut |= {"team": {"id": TEAM}, "user": {"id": "U1"}, "channel": {"id": CHANNEL}, "message": about}
        for _ in range(2):
            reply = await world.interaction(shortcut)
            assert (reply.status_code, reply.content) == (200, b"")
    await world.dispatcher.idle()
    before = "About this Slack message:\n"
    assert world.manager.texts == [f"{before}My screen & I @channel", f"{before}yes", f"{before}cancel", "help"]
    assert {(each.user_id, each.channel_id) for each in world.manager.asked} == {(ANA, "DU1")}


async def test_the_stop_button_of_the_session_cancels(world: SlackIn) -> None:
    inner = {"type": "agent_session_stopped", "channel": CHANNEL, "thread_ts": "1600000000.1", "user": "U1"}
    await world.event(envelope(inner))
    await world.dispatcher.idle()
    [asked] = world.manager.asked
    assert (asked.content, asked.thread_id) == ("cancel", "1600000000.1")


async def test_a_mention_without_words_asks_for_help(world: SlackIn) -> None:
    await world.event(message(CALLED, channel=CHANNEL, type="app_mention"))
    await world.dispatcher.idle()
    assert world.manager.texts == ["help"]


async def test_a_reaction_that_slack_does_not_take_now_is_left_out(world: SlackIn) -> None:
    world.slack.faults["reactions.add"] = [limits(30)]
    for text in ("one", "two"):
        await world.event(message(text))
    await world.dispatcher.idle()
    assert world.manager.texts == ["one", "two"]
    assert len(world.slack.called("reactions.add")) == 1


async def test_too_much_at_once_and_a_manager_that_is_away_only_delay(world: SlackIn) -> None:
    world.manager.faults = [httpx.Response(429, headers={"retry-after": "0"}), *[httpx.Response(503)] * 3]
    await world.event(message("hello"))
    await world.dispatcher.idle()
    assert world.manager.texts == ["hello"]


async def test_what_is_refused_is_told_to_the_person(world: SlackIn) -> None:
    problem = {"content-type": "application/problem+json"}
    world.manager.faults = [httpx.Response(422, json={"code": "invalid_request"}, headers=problem)]
    await world.event(message("hello"))

    async def is_told() -> bool:
        return any("Please send it again" in each["text"] for each in world.slack.messages)

    await eventually(is_told)
    assert await world.states() == ["failed"]
