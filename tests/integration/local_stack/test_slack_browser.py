"""The Slack workspace in a real browser: what a person sees and does there, wide and narrow, by mouse and by keyboard."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.support.browser import NARROW, is_within_its_width, open_browser, open_page
from tests.support.slack import BOT_TOKEN, MENTION, SlackWorld, slack_world
from tests.support.waiting import eventually

APP = "Self-Service Agent"
HOSTILE = "<img src=x onerror=alert(1)> &lt;script&gt;alert(2)&lt;/script&gt; <javascript:alert(3)|press me> *bold*"
YES = {"type": "button", "action_id": "yes", "style": "primary", "text": {"type": "plain_text", "text": "Yes, open it"}}
NO = {
    "type": "button",
    "action_id": "no",
    "text": {"type": "plain_text", "text": "No"},
    "confirm": {
        "title": {"type": "plain_text", "text": "Really?"},
        "text": {"type": "mrkdwn", "text": "This ends it"},
        "confirm": {"type": "plain_text", "text": "End it"},
        "deny": {"type": "plain_text", "text": "Go back"},
    },
}
ASKING = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "Open a ticket for a *ThinkPad*?"}},
    {"type": "actions", "elements": [YES, NO]},
]
REASON = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "What was wrong?"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "words", "multiline": True},
        }
    ],
}


class App:
    """Takes everything, and answers a modal as it is told."""

    def __init__(self) -> None:
        self.modal_answers: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        is_modal = b"view_submission" in request.content
        return httpx.Response(200, json=self.modal_answers.pop(0) if is_modal and self.modal_answers else {})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def slack(app: App) -> AsyncIterator[SlackWorld]:
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(app)) as http,
        slack_world(http=http, post_every_s=0.0) as world,
    ):
        yield world


@pytest.fixture
async def browser(slack: SlackWorld) -> AsyncIterator[Browser]:
    """Ended before the workspace, which would wait for its pages."""
    async with open_browser() as browser:
        yield browser


async def call(slack: SlackWorld, method: str, **arguments: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=slack.api_url, trust_env=False, timeout=None) as api:
        reply = await api.post(method, json=arguments, headers={"authorization": f"Bearer {BOT_TOKEN}"})
    body: dict[str, Any] = reply.json()
    assert body["ok"], body
    return body


async def pressed(slack: SlackWorld) -> list[str]:
    return [each.key for each in slack.standin.sender.sent if each.kind == "interactive"]


def message(page: Page, words: str) -> Any:
    return page.locator("#messages article").filter(has_text=words)


async def test_a_person_writes_sees_the_answer_come_and_presses_a_button(slack: SlackWorld, browser: Browser) -> None:
    async with open_page(browser, f"{slack.url}/#/alice/app") as page:
        await page.get_by_label("Message", exact=True).fill("I need a new laptop")
        await page.keyboard.press("Enter")
        await expect(message(page, "I need a new laptop")).to_be_visible()
        [asked] = slack.messages("alice")
        status = {"channel_id": asked.channel, "thread_ts": asked.ts, "status": "is looking up your laptop"}
        await call(slack, "assistant.threads.setStatus", **status)
        await expect(page.locator("#status")).to_have_text(f"{APP} is looking up your laptop")
        posted = await call(slack, "chat.postMessage", channel=asked.channel, text="Open it?", blocks=ASKING)
        await expect(page.locator("#status")).to_be_empty()
        await page.get_by_role("button", name="Yes, open it").click()
        await eventually(lambda: pressed(slack))
        await call(slack, "chat.update", channel=asked.channel, ts=posted["ts"], text="Opened REQ001")
        await expect(message(page, "Opened REQ001")).to_be_visible()
        await expect(page.get_by_role("button", name="Yes, open it")).to_have_count(0)


async def test_nothing_said_is_lost_from_sight_by_a_slow_load(slack: SlackWorld, browser: Browser) -> None:
    async with open_page(browser, f"{slack.url}/#/alice/app") as page:

        async def answer_late(route: Route) -> None:
            found = await route.fetch()
            slack.say("alice", "#general", "said meanwhile")
            await expect(message(page, "said meanwhile")).to_be_visible()
            await route.fulfill(response=found)
            loads.append(found.status)

        loads: list[int] = []
        await page.route("**/workspace/messages*", answer_late, times=1)
        async with page.expect_response("**/workspace/messages*"):
            await page.get_by_role("button", name="general").click()
        await expect(message(page, "said meanwhile")).to_be_visible()
        await page.get_by_label("Message", exact=True).fill("and after it")
        await page.keyboard.press("Enter")
        await expect(message(page, "and after it")).to_be_visible()
        await expect(message(page, "said meanwhile")).to_be_visible()
        assert loads == [200]


async def test_the_page_takes_nothing_before_it_has_loaded(slack: SlackWorld, browser: Browser) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    is_let_go = asyncio.Event()

    async def hold(route: Route) -> None:
        await is_let_go.wait()
        await route.continue_()

    await page.route("**/workspace/messages*", hold)
    await page.goto(f"{slack.url}/#/alice/app")
    await expect(page.locator("#person option")).not_to_have_count(0)
    await page.evaluate("document.getElementById('words').focus()")
    await page.keyboard.type("too early")
    assert await page.locator("#words").input_value() == ""
    is_let_go.set()
    await page.get_by_label("Message", exact=True).click()
    await page.keyboard.type("in time")
    await page.keyboard.press("Enter")
    await expect(message(page, "in time")).to_be_visible()
    await context.close()


async def test_the_shortcut_of_a_message_reaches_the_app(slack: SlackWorld, browser: Browser) -> None:
    slack.standin.say("ben", "#it-help", "My screen flickers")
    async with open_page(browser, f"{slack.url}/#/alice/it-help") as page:
        await message(page, "My screen flickers").get_by_role("button", name="Ask IT").click()
        assert await eventually(lambda: pressed(slack)) == ["message_action"]


async def test_a_button_that_asks_is_pressed_only_after_the_answer(slack: SlackWorld, browser: Browser) -> None:
    await call(slack, "chat.postMessage", channel=slack.channel_id("alice"), text="Open it?", blocks=ASKING)
    async with open_page(browser, f"{slack.url}/#/alice/app") as page:
        await page.get_by_role("button", name="No", exact=True).click()
        await page.get_by_role("button", name="Go back").click()
        await expect(page.locator("#sure")).to_be_hidden()
        assert await pressed(slack) == []
        await page.get_by_role("button", name="No", exact=True).click()
        await page.get_by_role("button", name="End it").click()
        await eventually(lambda: pressed(slack))


async def test_a_mention_in_a_channel_is_answered_in_a_thread_that_goes_on(slack: SlackWorld, browser: Browser) -> None:
    async with open_page(browser, f"{slack.url}/#/ben/it-help") as page:
        await page.get_by_role("button", name="@ Ask the app").click()
        await page.keyboard.type("help me")
        await page.keyboard.press("Enter")
        await expect(message(page, "help me")).to_be_visible()
        [asked] = slack.messages("#it-help")
        assert asked.text == f"{MENTION} help me"
        await call(slack, "chat.postMessage", channel=asked.channel, text="With what?", thread_ts=asked.ts)
        await expect(page.locator("#replies")).to_contain_text("With what?")
        await page.get_by_label("Reply", exact=True).fill("With my screen")
        await page.keyboard.press("Enter")
        await expect(page.locator("#replies")).to_contain_text("With my screen")
        assert [each.thread_ts for each in slack.messages("#it-help")] == [asked.ts] * 3
        only = {"channel": asked.channel, "user": slack.user_id("ben"), "text": "Just for you"}
        await call(slack, "chat.postEphemeral", **only)
        await expect(message(page, "Just for you")).to_contain_text("Only visible to you")
        await page.keyboard.press("Escape")
        await expect(page.locator("#thread")).to_be_hidden()


async def test_what_is_written_while_a_message_is_on_its_way_is_the_next_message(
    slack: SlackWorld, browser: Browser
) -> None:
    may_go = asyncio.Event()

    async def hold(route: Route) -> None:
        await may_go.wait()
        await route.continue_()

    async with open_page(browser, f"{slack.url}/#/alice/app") as page:
        await page.route("**/workspace/say", hold)
        words = page.get_by_label("Message", exact=True)
        for said in ("first", "second", "third"):
            await words.fill(said)
            await words.press("Enter")
            await expect(words).to_have_value("")
        await words.fill("a draft")
        may_go.set()
        await expect(page.locator("#messages article")).to_have_count(3)
        await expect(words).to_have_value("a draft")
    assert [each.text for each in slack.messages("alice")] == ["first", "second", "third"]


async def test_a_message_that_cannot_be_sent_stands_in_its_box_again(slack: SlackWorld, browser: Browser) -> None:
    async def refuse(route: Route) -> None:
        await route.fulfill(json={"error": "It did not work."})

    async with open_page(browser, f"{slack.url}/#/alice/app") as page:
        await page.route("**/workspace/say", refuse)
        words = page.get_by_label("Message", exact=True)
        await words.fill("hello")
        await words.press("Enter")
        await expect(page.locator("#notice")).to_have_text("It did not work.")
        await expect(words).to_have_value("hello")


async def test_work_in_a_thread_can_be_stopped(slack: SlackWorld, browser: Browser) -> None:
    asked = slack.standin.say("alice", "#it-help", f"{MENTION} help")
    async with open_page(browser, f"{slack.url}/#/alice/it-help") as page:
        await expect(message(page, "help")).to_be_visible()
        status = {"channel_id": asked.channel, "thread_ts": asked.ts, "status": "processing"}
        await call(slack, "agents.sessions.setStatus", **status)
        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator("#status")).to_be_empty()
    await slack.idle()
    assert len([each for each in slack.standin.sender.sent if each.kind == "events_api"]) == 3


async def test_what_was_said_never_becomes_markup(slack: SlackWorld, browser: Browser) -> None:
    slack.say("alice", "#general", HOSTILE)
    section = {"type": "section", "text": {"type": "mrkdwn", "text": HOSTILE}}
    await call(slack, "chat.postMessage", channel="#general", text="x", blocks=[section])
    async with open_page(browser, f"{slack.url}/#/alice/general") as page:
        await expect(page.locator("#messages article")).to_have_count(2)
        await expect(page.locator("#messages strong", has_text="bold")).to_have_count(2)
        assert await page.locator("#messages img, #messages script, #messages a").count() == 0
        await expect(page.locator("#messages")).to_contain_text("<script>alert(2)</script>")


async def test_a_modal_shows_the_complaint_of_the_app_and_closes_when_it_is_taken(
    slack: SlackWorld, browser: Browser, app: App
) -> None:
    app.modal_answers = [{"response_action": "errors", "errors": {"why": "Say a little more"}}]
    async with open_page(browser, f"{slack.url}/#/alice/app") as page:
        await expect(page.locator("#room-name")).to_have_text(APP)
        trigger = slack.standin.workspace.new_trigger(slack.user_id("alice"))
        await call(slack, "views.open", trigger_id=trigger, view=REASON)
        await page.get_by_label("Reason").fill("no")
        await page.locator("#modal").get_by_role("button", name="Send").click()
        await expect(page.locator("#modal")).to_contain_text("Say a little more")
        await page.get_by_label("Reason").fill("It was the wrong laptop")
        await page.locator("#modal").get_by_role("button", name="Send").click()
        await expect(page.locator("#modal")).to_be_hidden()
    assert slack.view("alice") is None


async def test_it_fits_on_a_narrow_screen_and_the_keyboard_reaches_everything(
    slack: SlackWorld, browser: Browser
) -> None:
    await call(slack, "chat.postMessage", channel=slack.channel_id("alice"), text="Open it?", blocks=ASKING)
    slack.say("alice", "#it-help", "x" * 300)
    async with open_page(browser, f"{slack.url}/#/alice/app", NARROW) as page:
        await expect(page.get_by_role("button", name="Yes, open it")).to_be_visible()
        assert await is_within_its_width(page)
        await page.get_by_role("button", name="Show the list of channels").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="it-help").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#room-name")).to_have_text("# it-help")
        await expect(message(page, "xxx")).to_be_visible()
        assert await is_within_its_width(page)


async def test_the_app_that_does_not_answer_is_told_in_plain_words(slack: SlackWorld, browser: Browser) -> None:
    async with open_page(browser, f"{slack.url}/#/alice/app") as page:
        slack.standin.sender.http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(503)))
        await page.get_by_label("Message", exact=True).fill("/it help")
        await page.keyboard.press("Enter")
        await expect(message(page, '/it failed with the error "dispatch_failed"')).to_be_visible()
