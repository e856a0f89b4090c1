"""The Slack stand-in reaches its app as Slack does: signed, within three seconds, again when it fails, and with answers."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from local_stack.slack import modals
from local_stack.slack.errors import Refused
from local_stack.slack.members import shipped_members
from local_stack.slack.records import View
from local_stack.slack.settings import SlackStandinSettings
from local_stack.slack.standin import MENTION, Standin, typed
from pydantic import SecretStr

HELP = "#it-help"
SECRET = "secret"
MODAL = {"type": "modal", "title": {"type": "plain_text", "text": "Why?"}, "blocks": []}
BUTTON = {"type": "button", "action_id": "yes", "block_id": "b0", "value": "1"}


@dataclass
class App:
    """What the app got, and what it answers next: 200 unless told otherwise."""

    got: list[httpx.Request] = field(default_factory=list)
    answers: list[httpx.Response | Exception] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        answer = self.answers.pop(0) if self.answers else httpx.Response(200)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(request.content)["event"] for request in self.got]

    def payload(self) -> dict[str, Any]:
        """Of the last interaction."""
        [text] = parse_qs(self.got[-1].content.decode())["payload"]
        found: dict[str, Any] = json.loads(text)
        return found


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def slack(app: App) -> AsyncIterator[Standin]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(app)) as http:
        settings = SlackStandinSettings(
            signing_secret=SecretStr(SECRET),
            bot_token=SecretStr("xoxb-1"),
            app_url="http://app.test",
            retry_after_s=(0.0, 0.0, 0.0),
        )
        standin = Standin(settings, http)
        yield standin
        await standin.close()


def is_signed(request: httpx.Request) -> bool:
    base = b"v0:" + request.headers["x-slack-request-timestamp"].encode() + b":" + request.content
    wanted = "v0=" + hmac.new(SECRET.encode(), base, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, request.headers["x-slack-signature"])


async def test_a_direct_message_is_one_signed_event_with_its_ids(slack: Standin, app: App) -> None:
    said = slack.say("alice", "", "hello")
    await slack.sender.idle()
    [request] = app.got
    assert (request.url.path, is_signed(request)) == ("/slack/events", True)
    body = json.loads(request.content)
    assert (body["type"], body["team_id"], body["event_id"][:2]) == ("event_callback", "T0STANDIN1", "Ev")
    event = body["event"]
    assert (event["type"], event["channel_type"], event["ts"], event["text"]) == ("message", "im", said.ts, "hello")
    assert event["user"] == slack.workspace.member("alice@example.com").id


async def test_a_mention_in_a_channel_comes_twice_with_one_ts_and_two_event_ids(slack: Standin, app: App) -> None:
    slack.say("alice", HELP, f"{MENTION} hello")
    await slack.sender.idle()
    assert sorted(event["type"] for event in app.events()) == ["app_mention", "message"]
    assert len({event["ts"] for event in app.events()}) == 1
    assert len({json.loads(request.content)["event_id"] for request in app.got}) == 2


async def test_a_failed_event_comes_again_signed_anew_with_its_number_and_reason(slack: Standin, app: App) -> None:
    app.answers = [httpx.Response(500), httpx.ConnectError("nobody"), httpx.ReadTimeout("late")]
    slack.say("alice", "", "hello")
    await slack.sender.idle()
    told = [
        (each.headers.get("x-slack-retry-num"), each.headers.get("x-slack-retry-reason"), is_signed(each))
        for each in app.got
    ]
    assert told == [
        (None, None, True),
        ("1", "http_error", True),
        ("2", "connection_failed", True),
        ("3", "http_timeout", True),
    ]
    assert len({json.loads(request.content)["event_id"] for request in app.got}) == 1


@pytest.mark.parametrize(
    ("answer", "tries"), [(httpx.Response(500), 4), (httpx.Response(403, headers={"x-slack-no-retry": "1"}), 1)]
)
async def test_it_gives_up_after_three_repetitions_or_when_told_to(
    slack: Standin, app: App, answer: httpx.Response, tries: int
) -> None:
    app.answers = [answer] * 4
    slack.say("alice", "", "hello")
    await slack.sender.idle()
    assert len(app.got) == len(slack.sender.sent) == tries


def edits(slack: Standin, ts: str) -> None:
    slack.edit("alice", HELP, ts, "changed")


def deletes(slack: Standin, ts: str) -> None:
    slack.delete("alice", HELP, ts)


def joins(slack: Standin, _: str) -> None:
    slack.join("ben", HELP)


@pytest.mark.parametrize(
    ("what", "subtype"), [(edits, "message_changed"), (deletes, "message_deleted"), (joins, "channel_join")]
)
async def test_what_is_no_new_message_is_told_with_its_subtype(
    slack: Standin, app: App, what: Callable[[Standin, str], None], subtype: str
) -> None:
    said = slack.say("alice", HELP, "hello")
    await slack.sender.idle()
    what(slack, said.ts)
    await slack.sender.idle()
    assert app.events()[-1]["subtype"] == subtype


async def test_a_file_is_named_in_the_event(slack: Standin, app: App) -> None:
    slack.say("alice", "", "look", files=[{"name": "screen.png", "mimetype": "image/png", "size": 10}])
    await slack.sender.idle()
    [event] = app.events()
    assert (event["subtype"], event["files"][0]["name"], event["files"][0]["filetype"]) == (
        "file_share",
        "screen.png",
        "png",
    )


async def test_a_command_is_a_signed_form_and_its_answer_is_for_the_person(slack: Standin, app: App) -> None:
    app.answers = [httpx.Response(200, json={"text": "Ask me anything"})]
    await slack.command("alice", HELP, "/it", "help me")
    [request] = app.got
    form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
    assert (request.url.path, is_signed(request)) == ("/slack/commands", True)
    assert (form["command"], form["text"], form["channel_name"]) == ("/it", "help me", "it-help")
    [shown] = slack.workspace.ephemeral
    assert (shown.text, shown.only_for) == ("Ask me anything", slack.workspace.member("alice").id)


async def test_a_command_that_fails_is_told_to_the_person_and_not_repeated(slack: Standin, app: App) -> None:
    app.answers = [httpx.Response(503), httpx.ReadTimeout("late")]
    await slack.command("alice", HELP, "/it")
    await slack.command("alice", HELP, "/it")
    words = [each.text for each in slack.workspace.ephemeral]
    assert words == ['/it failed with the error "dispatch_failed"', '/it failed with the error "operation_timeout"']


async def test_a_press_tells_where_it_was_and_gives_a_trigger_and_a_place_to_answer(slack: Standin, app: App) -> None:
    said = slack.say("alice", HELP, "hello")
    await slack.press("ben", HELP, said.ts, BUTTON)
    payload = app.payload()
    assert (payload["type"], payload["user"]["username"]) == ("block_actions", "ben")
    assert (payload["message"]["ts"], payload["container"]["channel_id"]) == (said.ts, said.channel)
    assert (payload["actions"][0]["action_id"], payload["actions"][0]["value"]) == ("yes", "1")
    assert payload["trigger_id"] in slack.workspace.triggers
    key = payload["response_url"].rpartition("/")[2]
    slack.responses.use(key, {"text": "done", "replace_original": True})
    assert said.text == "done"
    for _ in range(4):
        slack.responses.use(key, {"text": "psst"})
    with pytest.raises(Refused, match="used_url"):
        slack.responses.use(key, {"text": "once more"})


async def test_a_shortcut_on_a_message_carries_the_message(slack: Standin, app: App) -> None:
    said = slack.say("alice", HELP, "hello")
    await slack.shortcut("ben", "ask_it", HELP, said.ts)
    payload = app.payload()
    assert (payload["type"], payload["callback_id"], payload["message"]["text"]) == (
        "message_action",
        "ask_it",
        "hello",
    )


def opened(slack: Standin) -> str:
    """A modal in front of alice."""
    view = View("V1", slack.workspace.member("alice").id, MODAL, "h")
    slack.workspace.views[view.id] = view
    return view.id


async def test_a_modal_stays_open_with_the_apps_complaints_and_closes_when_it_is_taken(
    slack: Standin, app: App
) -> None:
    view_id = opened(slack)
    values = {"why": {"text": {"type": "plain_text_input", "value": "slow"}}}
    app.answers = [httpx.Response(200, json={"response_action": "errors", "errors": {"why": "Too short"}})]
    assert await modals.submit(slack, "alice", view_id, values) == {"why": "Too short"}
    assert app.payload()["view"]["state"]["values"] == values
    app.answers = [httpx.Response(200, json={"response_action": "update", "view": {**MODAL, "callback_id": "two"}})]
    await modals.submit(slack, "alice", view_id, values)
    assert slack.workspace.views[view_id].content["callback_id"] == "two"
    assert await modals.submit(slack, "alice", view_id, values) == {}
    assert slack.workspace.views == {}
    with pytest.raises(Refused, match="not_found"):
        await modals.submit(slack, "alice", view_id, values)


async def test_nobody_fills_in_the_modal_of_somebody_else(slack: Standin) -> None:
    view_id = opened(slack)
    with pytest.raises(Refused, match="not_found"):
        await modals.submit(slack, "ben", view_id, {})


def test_typed_words_become_what_slack_sends() -> None:
    ben = next(each for each in shipped_members() if each.user_name == "ben")
    found = typed("@self-service agent <b> & @ben, mail a@ben.example", shipped_members())
    assert found == f"{MENTION} &lt;b&gt; &amp; <@{ben.id}>, mail a@ben.example"
