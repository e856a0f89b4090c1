"""The mail view in a real browser, and the API behind it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from local_stack.mail.app import create_app
from local_stack.mail.mailboxes import Draft, Mailboxes
from local_stack.mail.settings import MailSettings
from local_stack.mail.standin import MailStandin
from playwright.async_api import expect
from pydantic import SecretStr

from tests.support.browser import NARROW, is_within_its_width, open_browser, open_page
from tests.support.mail import AGENT, MailServerUnderTest, mail_server
from tests.support.servers import free_socket, serving

ANA = "ana@example.com"


@dataclass
class View:
    url: str
    mail: MailServerUnderTest


@pytest.fixture
async def view(tmp_path: Path) -> AsyncIterator[View]:
    sock, url = free_socket()
    async with AsyncExitStack() as stack:
        mail = await stack.enter_async_context(mail_server(tmp_path / "mail", people=ANA))
        await stack.enter_async_context(serving(create_app(mail.standin), sock))
        yield View(url, mail)


async def test_a_person_writes_and_answers_mail(view: View) -> None:
    async with open_browser() as browser, open_page(browser, view.url) as page:
        await expect(page.get_by_label("Mailbox of")).to_have_value(ANA)
        await page.get_by_role("button", name="Write to IT").click()
        await page.get_by_label("Subject").fill("My laptop")
        await page.get_by_label("Text").fill("It is slow & old <b>")
        await page.get_by_role("button", name="Send").click()
        [asked] = await view.mail.arrived(AGENT)
        assert "dmarc=pass" in str(asked.parsed["authentication-results"])
        await view.mail.standin.send(Draft(AGENT, ANA, "Re: My laptop", "Shall I <i>order</i> one?"))
        await page.get_by_role("button", name="Re: My laptop").click()
        await expect(page.get_by_text("Shall I <i>order</i> one?")).to_be_visible()
        await page.get_by_role("button", name="Answer").click()
        await page.get_by_label("Text").fill("yes")
        await page.get_by_role("button", name="Send").click()
        answer = (await view.mail.arrived(AGENT, 2))[-1].parsed
        assert (answer["subject"], answer["from"]) == ("Re: My laptop", ANA)
        assert str(answer["in-reply-to"]) == str(view.mail.only(ANA)["message-id"])
        assert str(answer.get_content()).split()[:2] == ["yes", "On"]
    async with open_browser() as browser, open_page(browser, view.url, NARROW) as page:
        await expect(page.get_by_role("button", name="My laptop").first).to_be_visible()
        assert await is_within_its_width(page)


async def test_a_mail_may_be_forged_on_purpose(view: View) -> None:
    async with httpx.AsyncClient(base_url=view.url, timeout=None) as http:
        new = {"sender": ANA, "subject": "s", "text": "t", "is_forged": True}
        assert (await http.post("/api/mails", json=new)).status_code == 201
        assert "dmarc=fail" in str(view.mail.only(AGENT)["authentication-results"])
        for wrong in ({"sender": "x"}, {"subject": "a\r\nBcc: b@example.com"}, {"answers": 99}):
            assert (await http.post("/api/mails", json=new | wrong)).status_code in (404, 422)
        assert (await http.post("/api/mails", json=new, headers={"host": "evil.example"})).status_code == 403
        assert (await http.post("/_standin/faults", json={"verb": "MAIL", "code": 451})).status_code == 404


async def test_mails_survive_a_restart_and_a_cut_file_is_left_out(view: View, tmp_path: Path) -> None:
    await view.mail.write(ANA, "kept", "text")
    await view.mail.write(ANA, "cut", "text")
    (tmp_path / "mail" / "00000002.json").write_text("{")
    again = Mailboxes(tmp_path / "mail")
    assert [str(each.parsed["subject"]) for each in again.all(AGENT)] == ["kept"]


def test_the_password_is_in_no_text(tmp_path: Path) -> None:
    standin = MailStandin(tmp_path, MailSettings(password=SecretStr("hush-hush")))
    assert "hush-hush" not in repr(standin) + repr(standin.handler)
