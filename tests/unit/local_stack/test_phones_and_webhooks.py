"""The SMS stand-in keeps the provider's rules, and the webhook inbox tells right signatures from wrong ones."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_stack.sms.app import create_app
from local_stack.sms.settings import ACCOUNT_SID, NUMBER
from local_stack.webhook_inbox.inbox import WebhookInbox
from standardwebhooks.webhooks import Webhook

from tests.support.sms import AUTH_TOKEN, PHONE, sms_standin

MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
GOOD = {"To": PHONE, "From": NUMBER, "Body": "Hello."}


class World:
    def __init__(self, folder: Path) -> None:
        nobody = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(204)))
        self.standin = sms_standin(folder, nobody, "http://service.test")
        self.inbox = WebhookInbox(folder, ["alice"])
        transport = httpx.ASGITransport(create_app(self.standin, self.inbox))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    async def send(self, **changes: str) -> dict[str, Any]:
        reply = await self.http.post(MESSAGES, data=GOOD | changes, auth=(ACCOUNT_SID, AUTH_TOKEN))
        await self.standin.idle()
        said: dict[str, Any] = reply.json()
        return said

    async def hook(self, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.http.post("/hooks/alice", content=body, headers=headers)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"To": ""}, 21604),
        ({"To": "4155550100"}, 21211),
        ({"From": "+14155550198"}, 21606),
        ({"Body": ""}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"StatusCallback": "nowhere"}, 21609),
        ({"To": "+15005550004"}, 21610),
        ({"To": "+15005550009"}, 21614),
        ({"To": NUMBER}, 21266),
    ],
)
async def test_what_the_provider_refuses_is_refused_with_its_number(
    world: World, changes: dict[str, str], code: int
) -> None:
    assert (await world.send(**changes))["code"] == code
    assert world.standin.kept.messages == []


async def test_only_the_account_with_its_token_gets_in(world: World) -> None:
    for auth, status in ((None, 401), ((ACCOUNT_SID, "x"), 401), (("AC1", AUTH_TOKEN), 401)):
        assert (await world.http.get(MESSAGES, auth=auth)).status_code == status
    other = MESSAGES.replace(ACCOUNT_SID, "AC1")
    assert (await world.http.get(other, auth=(ACCOUNT_SID, AUTH_TOKEN))).status_code == 404


async def test_messages_are_listed_by_number_and_day_page_by_page(world: World) -> None:
    today = datetime.now(UTC).date().isoformat()
    for number in range(5):
        await world.send(Body=str(number))
    await world.send(To="+14155550101")
    query: dict[str, str] = {"To": PHONE, "DateSent>": today, "PageSize": "2"}
    url, bodies = str(httpx.URL(MESSAGES, params=query)), list[str]()
    while url:
        page = (await world.http.get(url, auth=(ACCOUNT_SID, AUTH_TOKEN))).json()
        bodies += [each["body"] for each in page["messages"]]
        url = page["next_page_uri"]
    assert bodies == ["4", "3", "2", "1", "0"]
    tomorrow = {"To": PHONE, "DateSent>": "2999-01-01"}
    assert (await world.http.get(MESSAGES, params=tomorrow, auth=(ACCOUNT_SID, AUTH_TOKEN))).json()["messages"] == []


async def test_too_many_messages_to_one_number_are_429_with_a_time_to_wait(world: World) -> None:
    world.standin.settings = world.standin.settings.model_copy(update={"max_per_minute": 2})
    world.standin.clock = lambda: 10.0
    assert [(await world.send()).get("code") for _ in range(3)] == [None, None, 20429]
    reply = await world.http.post(MESSAGES, data=GOOD, auth=(ACCOUNT_SID, AUTH_TOKEN))
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "60")


async def test_stop_start_and_the_switch_of_a_phone_are_kept_over_a_restart(world: World, tmp_path: Path) -> None:
    await world.standin.text(PHONE, "stop")
    assert (await world.send())["code"] == 21610
    await world.standin.text(PHONE, "START")
    world.standin.switch(PHONE, is_on=False)
    await world.send()
    again = World(tmp_path)
    last = again.standin.kept.messages[-1]
    assert (last.status, last.error_code) == ("undelivered", 30003)


async def test_pages_of_other_sites_reach_nothing(world: World) -> None:
    reply = await world.http.post(f"/phones/{PHONE}/texts", content='{"body": "STOP"}')
    assert reply.status_code == 403
    assert (await world.http.get("/phones", headers={"host": "evil.example"})).status_code == 403
    assert (await world.http.put("/webhooks/hooks/alice", content="{}")).status_code == 403
    assert (await world.http.post("/_standin/faults", json={})).status_code == 404


async def test_the_inbox_tells_whose_signature_is_right(world: World) -> None:
    now = datetime.now(UTC)
    body = json.dumps({"type": "response.ready"}).encode()
    signed = {
        "webhook-id": "1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": "v1,AAAA " + Webhook(SECRET).sign("1", now, body.decode()),
    }
    await world.hook(body, signed)
    await world.http.put("/webhooks/hooks/alice", json={"secret": SECRET})
    for headers in (signed, signed | {"webhook-id": "2"}, signed | {"webhook-timestamp": "1"}, {}):
        await world.hook(body, headers)
    shown = (await world.http.get("/webhooks/hooks")).json()["hooks"][0]
    verdicts = [each["signature"] for each in reversed(shown["received"])]
    assert verdicts == ["no secret known", "verified", "wrong signature", "signed at another time", "not signed"]
    assert [each["attempt"] for each in reversed(shown["received"])] == [1, 2, 1, 3, 1]
    assert SECRET not in json.dumps(shown)
    assert (await world.http.put("/webhooks/hooks/alice", json={"secret": "guess"})).status_code == 422


async def test_the_inbox_answers_as_it_is_told_and_proves_itself_by_the_challenge(world: World) -> None:
    challenge = json.dumps({"type": "webhook.verify", "data": {"challenge": "c-1", "code": "123456"}}).encode()
    assert (await world.hook(challenge)).json() == {"challenge": "c-1"}
    for behaviour, status in (("503", 503), ("410", 410), ("429", 429), ("redirect", 302)):
        await world.http.put("/webhooks/hooks/alice", json={"behaviour": behaviour})
        assert (await world.hook(challenge)).status_code == status
    shown = (await world.http.get("/webhooks/hooks")).json()["hooks"][0]["received"]
    assert [bool(each["note"]) for each in reversed(shown)] == [True, False, False, False, False]
    await world.http.request("DELETE", "/webhooks/hooks/alice/received", json={})
    assert (await world.http.get("/webhooks/hooks")).json()["hooks"][0]["received"] == []


async def test_the_page_shows_where_the_product_reaches_a_receiver_and_hides_from_other_names(world: World) -> None:
    assert (await world.http.get("/webhooks/hooks")).json()["hooks"][0]["url"] == "http://127.0.0.1/hooks/alice"
    world.inbox.url = "http://phones:8094"
    published = {"host": "127.0.0.1:18094"}
    assert (await world.http.get("/webhooks/", headers=published)).status_code == 200
    shown = (await world.http.get("/webhooks/hooks", headers=published)).json()["hooks"][0]
    assert shown["url"] == "http://phones:8094/hooks/alice"
    other = {"host": "phones:8094"}
    assert (await world.http.get("/webhooks/hooks", headers=other)).status_code == 403
    assert (await world.http.post("/hooks/alice", content=b"{}", headers=other)).status_code == 200
    sent = await world.http.post(MESSAGES, data=GOOD, auth=(ACCOUNT_SID, AUTH_TOKEN), headers=other)
    assert sent.status_code == 201
    await world.standin.idle()
