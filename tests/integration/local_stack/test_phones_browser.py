"""Phones and webhook inbox in a real browser: what came is seen, a text goes back, a receiver is told to fail."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from local_stack.sms.app import create_app
from local_stack.sms.settings import NUMBER
from local_stack.sms.standin import SmsStandin
from local_stack.webhook_inbox.inbox import WebhookInbox
from playwright.async_api import Browser, expect

from tests.support.browser import NARROW, is_within_its_width, open_browser, open_page
from tests.support.servers import free_socket, serving
from tests.support.sms import PHONE, sms_standin


@dataclass
class World:
    url: str
    standin: SmsStandin
    inbox: WebhookInbox


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    nobody = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, text="<Response/>")))
    standin, inbox = sms_standin(tmp_path, nobody, "http://service.test"), WebhookInbox(tmp_path, ["alice"])
    sock, url = free_socket()
    async with serving(create_app(standin, inbox), sock):
        yield World(url, standin, inbox)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


async def test_a_text_is_seen_on_the_phone_and_stop_goes_back(world: World, browser: Browser) -> None:
    hostile = "<img src=x onerror=alert(1)> It ships on Monday."
    world.standin.send({"To": PHONE, "From": NUMBER, "Body": hostile})
    async with open_page(browser, world.url) as page:
        await expect(page.get_by_role("log")).to_contain_text(hostile)
        await page.get_by_label("Text from this phone").fill("STOP")
        await page.get_by_label("Text from this phone").press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("has said STOP")
        await expect(page.get_by_role("log")).to_contain_text("successfully been unsubscribed")
        await page.get_by_role("button", name="Switch off").click()
        await expect(page.get_by_role("status")).to_contain_text("switched off")
    assert world.standin.kept.stopped == world.standin.kept.switched_off == [PHONE]


async def test_what_a_webhook_got_is_seen_and_it_can_be_told_to_fail(world: World, browser: Browser) -> None:
    async with open_page(browser, f"{world.url}/webhooks/") as page, httpx.AsyncClient(timeout=None) as http:
        await expect(page.get_by_text(f"{world.url}/hooks/alice", exact=True)).to_be_visible()
        await page.get_by_label("It answers").select_option("410")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status")).to_have_text("Saved.")
        assert (await http.post(f"{world.url}/hooks/alice", content=b'{"a": "<b>"}')).status_code == 410
        await expect(page.locator("#received")).to_contain_text('"a": "<b>"')
        await expect(page.locator("#received")).to_contain_text("try 1 · answered 410 · no secret known")


async def test_both_pages_fit_a_narrow_screen(world: World, browser: Browser) -> None:
    for path in ("/", "/webhooks/"):
        async with open_page(browser, world.url + path, NARROW) as page:
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert await is_within_its_width(page)
