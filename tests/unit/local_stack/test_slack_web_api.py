"""The Slack stand-in's Web API keeps Slack's rules."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_stack.slack.app import create_app
from local_stack.slack.settings import SlackStandinSettings
from local_stack.slack.standin import Standin
from pydantic import SecretStr

TOKEN = "xoxb-1"
HELP = "#it-help"


@dataclass
class Clock:
    """Seconds that stand still until a test moves them."""

    at_s: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at_s


@dataclass
class Slack:
    """The stand-in and its app, which answers 200 to everything."""

    standin: Standin
    http: httpx.AsyncClient
    clock: Clock = field(default_factory=Clock)

    async def call(self, method: str, token: str = TOKEN, **arguments: Any) -> dict[str, Any]:
        reply = await self.raw(method, token, **arguments)
        assert reply.status_code == 200, reply.text
        body: dict[str, Any] = reply.json()
        return body

    async def raw(self, method: str, token: str = TOKEN, **arguments: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.http.post(f"/api/{method}", json=arguments, headers=headers)

    async def error(self, method: str, token: str = TOKEN, **arguments: Any) -> str:
        body = await self.call(method, token, **arguments)
        assert body["ok"] is False
        return str(body["error"])


def make(clock: Clock, folder: Path | None = None, **changes: Any) -> Standin:
    settings = SlackStandinSettings(
        **{
            "signing_secret": SecretStr("secret"),
            "bot_token": SecretStr(TOKEN),
            "app_token": SecretStr("xapp-1"),
            "app_url": "http://app.test",
            **changes,
        }
    )
    app = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(200)))
    return Standin(settings, app, folder, clock, clock)


@pytest.fixture
async def slack(request: pytest.FixtureRequest) -> AsyncIterator[Slack]:
    """`parametrize("slack", [settings], indirect=True)` changes its settings."""
    clock = Clock()
    standin = make(clock, **getattr(request, "param", {}))
    transport = httpx.ASGITransport(create_app(standin))
    async with httpx.AsyncClient(transport=transport, base_url="http://slack.test") as http:
        yield Slack(standin, http, clock)
        await standin.sender.idle()


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


async def test_the_token_says_who_calls_and_the_scopes_are_told(slack: Slack) -> None:
    reply = await slack.raw("auth.test")
    assert reply.json()["user_id"] == "U0STANDIN1"
    assert "chat:write" in reply.headers["x-oauth-scopes"].split(",")
    assert await slack.error("auth.test", "") == "not_authed"
    assert await slack.error("auth.test", "xoxb-2") == "invalid_auth"
    assert await slack.error("auth.test", "xapp-1") == "not_allowed_token_type"
    assert await slack.error("chat.nothing") == "unknown_method"


async def test_arguments_come_as_json_as_a_form_or_in_the_query(slack: Slack) -> None:
    alice = slack.standin.workspace.member("alice").id
    headers = {"authorization": f"Bearer {TOKEN}"}
    by_query = await slack.http.get("/api/users.info", params={"user": alice}, headers=headers)
    by_form = await slack.http.post("/api/users.info", data={"user": alice, "token": TOKEN})
    by_json = await slack.raw("users.info", user=alice)
    assert by_query.json() == by_form.json() == by_json.json()
    assert by_json.json()["user"]["profile"]["email"] == "alice@example.com"
    blocks = '[{"type": "divider"}]'
    posted = await slack.http.post("/api/chat.postMessage", data={"channel": HELP, "blocks": blocks}, headers=headers)
    assert posted.json()["message"]["blocks"][0]["type"] == "divider"


@pytest.mark.parametrize(
    ("content", "kind", "error"),
    [
        (b"{", "application/json", "invalid_json"),
        (b"[]", "application/json", "json_not_object"),
        (b"x", "text/plain", "invalid_post_type"),
    ],
)
async def test_an_unreadable_body_is_refused(slack: Slack, content: bytes, kind: str, error: str) -> None:
    reply = await slack.http.post("/api/auth.test", content=content, headers={"content-type": kind})
    assert reply.json()["error"] == error


@pytest.mark.parametrize("slack", [{"scopes": "chat:write,users:read"}], indirect=True)
async def test_what_no_scope_was_granted_for_is_refused_or_left_out(slack: Slack) -> None:
    refused = await slack.call("reactions.add", channel=HELP, timestamp="1.000001", name="eyes")
    assert (refused["error"], refused["needed"]) == ("missing_scope", "reactions:write")
    user = await slack.call("users.info", user=slack.standin.workspace.member("alice").id)
    assert "email" not in user["user"]["profile"]


async def test_people_are_found_by_their_address_and_left_ones_are_not(slack: Slack) -> None:
    found = await slack.call("users.lookupByEmail", email="Alice@example.com")
    assert found["user"]["real_name"] == "Alice Archer"
    left = next(each for each in slack.standin.workspace.members.values() if not each.is_active)
    assert await slack.error("users.lookupByEmail", email=left.email) == "users_not_found"
    assert (await slack.call("users.info", user=left.id))["user"]["deleted"] is True


async def test_a_post_is_kept_with_its_thread_and_its_metadata_shows_only_when_asked_for(slack: Slack) -> None:
    asked = slack.standin.say("alice", HELP, "help")
    metadata = {"event_type": "answer", "event_payload": {"delivery_id": "1"}}
    posted = await slack.call("chat.postMessage", channel=HELP, text="hi", thread_ts=asked.ts, metadata=metadata)
    replies = await slack.call("conversations.replies", channel=posted["channel"], ts=asked.ts)
    assert [each["ts"] for each in replies["messages"]] == [asked.ts, posted["ts"]]
    assert "metadata" not in replies["messages"][1]
    shown = await slack.call("conversations.replies", channel=posted["channel"], ts=asked.ts, include_all_metadata=True)
    assert shown["messages"][1]["metadata"] == metadata
    history = await slack.call("conversations.history", channel=posted["channel"])
    assert [each["ts"] for each in history["messages"]] == [asked.ts]


async def test_long_threads_come_in_pages(slack: Slack) -> None:
    asked = slack.standin.say("alice", HELP, "help")
    replies = [slack.standin.say("ben", HELP, str(number), thread=asked.ts).ts for number in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = await slack.call("conversations.replies", channel=HELP, ts=asked.ts, limit=2, cursor=cursor)
        seen += [each["ts"] for each in page["messages"]]
        cursor = page["response_metadata"]["next_cursor"]
        if not cursor:
            break
    assert seen == [asked.ts, *replies]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "C404", "text": "x"}, "channel_not_found"),
        ({"channel": HELP}, "no_text"),
        ({"channel": HELP, "text": "x", "thread_ts": "yesterday"}, "invalid_thread_ts"),
        ({"channel": HELP, "text": "x", "thread_ts": "1.000001"}, "thread_not_found"),
        ({"channel": HELP, "text": "x", "metadata": {"event_type": 1}}, "invalid_metadata_format"),
        ({"channel": HELP, "text": "x", "blocks": "no json"}, "invalid_blocks_format"),
        ({"channel": HELP, "blocks": [section("x" * 3001)]}, "invalid_blocks"),
        ({"channel": HELP, "blocks": [section("x" * 2900)] * 5}, "msg_blocks_too_long"),
        ({"channel": HELP, "markdown_text": "x", "text": "x"}, "markdown_text_conflict"),
        ({"channel": HELP, "markdown_text": "x" * 12_001}, "msg_too_long"),
    ],
)
async def test_a_post_that_slack_would_not_take_is_refused(slack: Slack, arguments: Any, error: str) -> None:
    assert await slack.error("chat.postMessage", **arguments) == error
    assert slack.standin.workspace.messages[slack.standin.workspace.channel(HELP).id] == []


async def test_the_app_writes_only_where_it_is_and_nowhere_archived(slack: Slack) -> None:
    channel = slack.standin.workspace.channel(HELP)
    channel.members.remove("U0STANDIN1")
    assert await slack.error("chat.postMessage", channel=HELP, text="x") == "not_in_channel"
    channel.is_archived = True
    slack.clock.at_s += 1
    assert await slack.error("chat.postMessage", channel=HELP, text="x") == "is_archived"


async def test_characters_over_the_limit_are_cut_and_noted(slack: Slack) -> None:
    posted = await slack.call("chat.postMessage", channel=HELP, text="x" * 40_001)
    assert len(posted["message"]["text"]) == 40_000
    assert slack.standin.workspace.truncated == [(posted["channel"], posted["ts"])]
    error = await slack.error("chat.update", channel=posted["channel"], ts=posted["ts"], text="x" * 4001)
    assert error == "msg_too_long"


async def test_controls_that_nobody_escaped_are_pings(slack: Slack) -> None:
    harmless = {"type": "section", "text": {"type": "plain_text", "text": "<!channel>"}}
    await slack.call("chat.postMessage", channel="#general", text="&lt;!channel&gt;", blocks=[harmless])
    assert slack.standin.workspace.pings == []
    await slack.call("chat.postMessage", channel=HELP, text="a", blocks=[section("<!here> <@U123|x> <!subteam^S1>")])
    assert [control for _, _, control in slack.standin.workspace.pings] == ["!here", "@U123", "!subteam^S1"]


async def test_an_update_takes_the_place_of_the_apps_own_message_only(slack: Slack) -> None:
    posted = await slack.call("chat.postMessage", channel=HELP, text="a", blocks=[section("a")])
    await slack.call("chat.update", channel=posted["channel"], ts=posted["ts"], text="b")
    [message] = slack.standin.workspace.messages[posted["channel"]]
    assert (message.text, message.blocks, bool(message.edited_ts)) == ("b", [], True)
    foreign = slack.standin.say("alice", HELP, "mine")
    assert await slack.error("chat.update", channel=HELP, ts=foreign.ts, text="b") == "cant_update_message"
    assert await slack.error("chat.update", channel=HELP, ts="1.000001", text="b") == "message_not_found"


async def test_an_ephemeral_message_is_for_one_person_and_not_in_the_history(slack: Slack) -> None:
    alice = slack.standin.workspace.member("alice").id
    assert (await slack.call("chat.postEphemeral", channel=HELP, user=alice, text="psst"))["message_ts"]
    assert (await slack.call("conversations.history", channel=HELP))["messages"] == []
    assert [each.only_for for each in slack.standin.workspace.ephemeral] == [alice]


async def test_the_direct_message_of_a_person_is_opened_once(slack: Slack) -> None:
    alice = slack.standin.workspace.member("alice").id
    opened = await slack.call("conversations.open", users=alice, return_im=True)
    assert (opened["channel"]["is_im"], opened["channel"]["user"]) == (True, alice)
    posted = await slack.call("chat.postMessage", channel=alice, text="x")
    assert posted["channel"] == opened["channel"]["id"]
    assert await slack.error("conversations.open", users="U404") == "user_not_found"


async def test_a_reaction_is_added_once_and_removed_once(slack: Slack) -> None:
    asked = slack.standin.say("alice", HELP, "help")
    reaction = {"channel": HELP, "timestamp": asked.ts, "name": "eyes"}
    await slack.call("reactions.add", **reaction)
    assert await slack.error("reactions.add", **reaction) == "already_reacted"
    await slack.call("reactions.remove", **reaction)
    assert await slack.error("reactions.remove", **reaction) == "no_reaction"
    assert await slack.error("reactions.add", **{**reaction, "name": "Not An Emoji"}) == "invalid_name"


async def test_a_status_stands_below_a_thread_until_the_app_answers(slack: Slack) -> None:
    asked = slack.standin.say("alice", HELP, "help")
    workspace = slack.standin.workspace
    await slack.call("assistant.threads.setStatus", channel_id=asked.channel, thread_ts=asked.ts, status="is looking")
    assert workspace.status(asked.channel, asked.ts) == "is looking"
    await slack.call("chat.postMessage", channel=HELP, text="hi", thread_ts=asked.ts)
    assert workspace.status(asked.channel, asked.ts) == ""
    working = {"channel_id": asked.channel, "thread_ts": asked.ts, "status": "processing"}
    await slack.call("agents.sessions.setStatus", **working)
    assert workspace.status(asked.channel, asked.ts)
    slack.clock.at_s += 121
    assert workspace.status(asked.channel, asked.ts) == ""
    assert await slack.error("agents.sessions.setStatus", **{**working, "status": "busy"}) == "invalid_arguments"


async def test_a_channel_takes_one_post_a_second_and_calls_in_the_window_are_violations(slack: Slack) -> None:
    await slack.call("chat.postMessage", channel=HELP, text="1")
    limited = await slack.raw("chat.postMessage", channel=HELP, text="2")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")
    assert limited.json() == {"ok": False, "error": "ratelimited"}
    await slack.call("chat.postMessage", channel="#general", text="another channel is free")
    assert slack.standin.limits.violations == []
    slack.clock.at_s += 0.5
    assert (await slack.raw("chat.postMessage", channel=HELP, text="3")).status_code == 429
    assert [method for method, _ in slack.standin.limits.violations] == ["chat.postMessage"]
    slack.clock.at_s += 0.5
    await slack.call("chat.postMessage", channel=HELP, text="4")


async def test_a_tier_is_spent_after_its_calls_of_a_minute(slack: Slack) -> None:
    for _ in range(50):
        await slack.call("conversations.info", channel=HELP)
    limited = await slack.raw("conversations.info", channel=HELP)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "60")
    slack.clock.at_s += 60
    await slack.call("conversations.info", channel=HELP)


async def test_a_trigger_opens_one_modal_within_three_seconds(slack: Slack) -> None:
    workspace = slack.standin.workspace
    alice = workspace.member("alice").id
    view = {"type": "modal", "title": {"type": "plain_text", "text": "Why?"}, "blocks": [section("x")]}
    trigger = workspace.new_trigger(alice)
    opened = await slack.call("views.open", trigger_id=trigger, view=view)
    assert await slack.error("views.open", trigger_id=trigger, view=view) == "exchanged_trigger_id"
    late = workspace.new_trigger(alice)
    slack.clock.at_s += 3.5
    assert await slack.error("views.open", trigger_id=late, view=view) == "expired_trigger_id"
    assert await slack.error("views.open", trigger_id="1.2.3", view=view) == "invalid_trigger_id"
    view_id, old_hash = opened["view"]["id"], opened["view"]["hash"]
    await slack.call("views.update", view_id=view_id, hash=old_hash, view=view)
    assert await slack.error("views.update", view_id=view_id, hash=old_hash, view=view) == "hash_conflict"
    assert await slack.error("views.update", view_id="V404", view=view) == "not_found"


async def test_what_was_said_is_there_after_a_restart(tmp_path: Path) -> None:
    first = make(Clock(), tmp_path)
    said = first.say("alice", HELP, "help")
    await first.close()
    assert make(Clock(), tmp_path).workspace.find(said.channel, said.ts).text == "help"
