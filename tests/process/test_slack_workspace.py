"""A new developer's first minutes: `make up`, the Slack workspace in a browser, a laptop asked for, one button, a ticket."""

import json
import re

import httpx
import yaml
from playwright.async_api import expect

from tests.support.browser import open_browser, open_page
from tests.support.stack import Stack
from tests.support.waiting import eventually

URL = re.compile(r"Slack stand-in +(http://\S+)")
TICKET = re.compile(r"REQ\d{7}")
PERSON = "ben"


def give_old_laptop(stack: Stack) -> None:
    path = stack.state_dir / "servicenow" / "people.yaml"
    document = yaml.safe_load(path.read_text())
    [person] = [each for each in document["people"] if each["user_name"] == PERSON]
    person["laptops"] = [{"model": "Oldbook", "serial_number": "SN-OLD-1", "purchase_date": "2019-05-06"}]
    path.write_text(yaml.safe_dump(document))


async def workspace_url(stack: Stack) -> str:
    """As it is printed; the workspace comes up just after the services."""
    found = URL.search(stack.output)
    assert found, stack.output

    async def is_ready() -> bool:
        async with httpx.AsyncClient(trust_env=False, timeout=None) as http:
            try:
                return (await http.get(f"{found[1]}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

    await eventually(is_ready, every_s=0.1)
    return found[1]


async def test_a_laptop_is_asked_for_in_slack_and_the_pressed_button_opens_the_ticket(whole_stack: Stack) -> None:
    give_old_laptop(whole_stack)
    url = await workspace_url(whole_stack)
    async with open_browser() as browser, open_page(browser, f"{url}/#/{PERSON}/app") as page:
        words, messages = page.get_by_label("Message", exact=True), page.locator("#messages")
        for said, awaited in (
            ("I need a new laptop", "(yes or no)"),
            ("yes", "Which one would you like?"),
            ("1", "Please confirm"),
        ):
            await words.fill(said)
            await words.press("Enter")
            await expect(messages).to_contain_text(awaited)
        await messages.get_by_role("button", name="Yes, go ahead").click()
        await expect(messages).to_contain_text(TICKET)
        shown = TICKET.findall(await messages.inner_text())
        await expect(messages.get_by_role("button", name="Yes, go ahead")).to_have_count(0)
    tickets = json.loads((whole_stack.state_dir / "servicenow" / "tickets.json").read_text())
    assert shown[0] in json.dumps(tickets)
