"""A real browser for tests of pages: this machine's Chromium, driven by Playwright.

A page that breaks its own rules fails the test: an error in a script, something that its content policy blocks, a
request to anywhere but this machine."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Error, Page, Request, async_playwright, expect

from tests.support.chromium import MISSING, find_chromium
from tests.support.waiting import PATIENCE_S

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
WIDE, NARROW = (1280, 800), (320, 640)

expect.set_options(timeout=PATIENCE_S * 1000)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """With an empty profile of its own. Raises AssertionError where there is no Chromium."""
    program = find_chromium()
    assert program, MISSING
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=list(ARGUMENTS), timeout=PATIENCE_S * 1000, chromium_sandbox=False
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def open_page(browser: Browser, url: str, size: tuple[int, int] = WIDE) -> AsyncIterator[Page]:
    """A page at `url` in a context of its own, once it can be used; at the end it must have broken no rule."""
    width, height = size
    context = await browser.new_context(viewport={"width": width, "height": height}, locale="en-GB")
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    with _watching(page) as broken:
        await page.goto(url)
        await expect(page.locator("body:not([inert])")).to_be_attached()
        yield page
    await context.close()
    assert not broken, "; ".join(broken)


@contextmanager
def _watching(page: Page) -> Iterator[list[str]]:
    broken: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            broken.append(message.text)

    def on_request(request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme != "data" and address.hostname != "127.0.0.1":
            broken.append(f"asked for {request.url}")

    def on_error(error: Error) -> None:
        broken.append(str(error))

    page.on("console", on_console)
    page.on("request", on_request)
    page.on("pageerror", on_error)
    yield broken


async def is_within_its_width(page: Page) -> bool:
    """Whether nothing makes the page scroll sideways."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))
