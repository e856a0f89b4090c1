"""An address is used only after its owner has proven that it is theirs."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from integration_dispatcher.addresses import NO_CODE, SENT
from integration_dispatcher.handlers.base import IntegrationConfig, Notice, Settled
from integration_dispatcher.handlers.test import TestIntegrationHandler
from shared_models.enums import IntegrationType
from shared_models.ids import new_id
from shared_models.schemas import Metadata

from tests.support.dispatcher import PREFERRED, Dispatcher, all_rows, ended, wish
from tests.support.webhook import WebhookReceiver

MINE = "/api/v1/users/{me}/integrations"
EFFECTIVE = "/api/v1/users/{me}/integration-defaults"
NOT_VERIFIED = "The address has not been verified yet."


async def put(dispatcher: Dispatcher, user: UUID, url: str) -> dict[str, Any]:
    reply = await dispatcher.call("PUT", f"{MINE}/webhook", user, json={"config": {"url": url}, "priority": 1})
    assert reply.status_code == 200, reply.text
    view: dict[str, Any] = reply.json()
    return view


async def verify(dispatcher: Dispatcher, user: UUID, code: str, integration: str = "webhook") -> httpx.Response:
    return await dispatcher.call("POST", f"{MINE}/{integration}/verify", user, json={"code": code})


async def send(dispatcher: Dispatcher, user: UUID) -> httpx.Response:
    return await dispatcher.call("POST", f"{MINE}/webhook/verify/send", user)


def code_of(receiver: WebhookReceiver) -> str:
    return str(receiver.challenges[-1].body["data"]["code"])


async def test_a_receiver_that_echoes_the_challenge_is_verified_at_once(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    user = new_id()
    view = await put(dispatcher, user, receiver.url)
    assert view["is_verified"]
    again = await put(dispatcher, user, receiver.url)
    assert (again["is_verified"], len(receiver.challenges)) == (True, 1)
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    assert len(receiver.accepted) == 1


async def test_an_unverified_address_is_kept_and_not_used(dispatcher: Dispatcher, receiver: WebhookReceiver) -> None:
    user = new_id()
    receiver.is_willing = False
    view = await put(dispatcher, user, receiver.url)
    assert (view["is_verified"], view["verification"]) == (False, SENT)
    [webhook, _] = (await dispatcher.get(EFFECTIVE, user))["items"]
    assert (webhook["is_set_up"], webhook["is_verified"], webhook["is_used"]) == (True, False, False)
    await dispatcher.plan(ended(user, PREFERRED, content="by the next one"))
    await dispatcher.plan(ended(user, wish("webhook")))
    await dispatcher.idle()
    assert receiver.tries == []
    assert "by the next one" in await dispatcher.inbox(user)
    [refused] = [each for each in await dispatcher.deliveries(user) if each["integration"] == "webhook"]
    assert (refused["status"], refused["reason"]) == ("failed", NOT_VERIFIED)


async def test_the_code_read_at_the_receiver_verifies_it_once(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    user = new_id()
    receiver.is_willing = False
    await put(dispatcher, user, receiver.url)
    code = code_of(receiver)
    done = await verify(dispatcher, user, f" {code} ")
    assert (done.status_code, done.json()["is_verified"]) == (200, True)
    assert (await verify(dispatcher, user, code)).status_code == 409
    assert (await send(dispatcher, user)).status_code == 409
    await dispatcher.plan(ended(user, PREFERRED))
    await dispatcher.idle()
    assert len(receiver.accepted) == 1


async def test_another_persons_code_and_another_address_prove_nothing(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    ana, ben = new_id(), new_id()
    receiver.is_willing = False
    await put(dispatcher, ana, receiver.url)
    code = code_of(receiver)
    await put(dispatcher, ben, receiver.url)
    if code_of(receiver) != code:
        assert (await verify(dispatcher, ben, code)).status_code == 422
    await put(dispatcher, ana, receiver.url + "?other")
    if code_of(receiver) != code:
        assert (await verify(dispatcher, ana, code)).status_code == 422
    assert not (await dispatcher.get(f"{MINE}/webhook", ana))["is_verified"]


async def test_five_wrong_tries_end_a_code(dispatcher: Dispatcher, receiver: WebhookReceiver) -> None:
    user = new_id()
    receiver.is_willing = False
    await put(dispatcher, user, receiver.url)
    code = code_of(receiver)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for left in (4, 3, 2, 1, 0):
        refused = await verify(dispatcher, user, wrong)
        assert (refused.status_code, refused.json()["detail"]) == (422, f"This is not the code. Tries left: {left}.")
    late = await verify(dispatcher, user, code)
    assert (late.status_code, late.json()["detail"]) == (409, NO_CODE)
    assert (await send(dispatcher, user)).status_code == 200
    assert (await verify(dispatcher, user, code_of(receiver))).status_code == 200


async def test_a_code_ends_after_fifteen_minutes(dispatcher: Dispatcher, receiver: WebhookReceiver) -> None:
    user = new_id()
    receiver.is_willing = False
    await put(dispatcher, user, receiver.url)
    await dispatcher.sql("update verified_addresses set code_expires_at = code_expires_at - interval '15 minutes'")
    assert (await verify(dispatcher, user, code_of(receiver))).json()["detail"] == NO_CODE


async def test_five_codes_an_hour_and_an_address_that_others_ask_for_counts_them_all(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    ana, ben = new_id(), new_id()
    receiver.is_willing = False
    await put(dispatcher, ana, receiver.url)
    for _ in range(4):
        assert (await send(dispatcher, ana)).status_code == 200
    limited = await send(dispatcher, ana)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "3600")
    assert "Too many codes" in (await put(dispatcher, ben, receiver.url))["verification"]
    assert len(receiver.challenges) == 5
    await dispatcher.sql("update verified_addresses set sends_since = sends_since - interval '1 hour'")
    assert (await send(dispatcher, ana)).status_code == 200


async def test_a_receiver_that_is_away_is_told_and_tried_again_on_request(
    dispatcher: Dispatcher, receiver: WebhookReceiver
) -> None:
    user = new_id()
    view = await put(dispatcher, user, "http://127.0.0.1:1799/hook")
    assert view["verification"] == "No code could be sent there. No connection to the receiver."
    refused = await send(dispatcher, user)
    assert (refused.status_code, refused.json()["detail"]) == (409, view["verification"])
    assert (await dispatcher.call("POST", f"{MINE}/test/verify/send", user)).status_code == 409
    assert (await verify(dispatcher, user, "123456", "sms")).status_code == 404


async def test_no_table_holds_a_code(dispatcher: Dispatcher, receiver: WebhookReceiver, database_url: str) -> None:
    receiver.is_willing = False
    await put(dispatcher, new_id(), receiver.url)
    body = receiver.challenges[-1].body["data"]
    dump = await all_rows(database_url)
    assert f'"{body["code"]}"' not in dump
    assert f",{body['code']}," not in dump
    assert body["challenge"] not in dump


class MailLikeConfig(IntegrationConfig):
    address: str = ""


class MailLikeHandler(TestIntegrationHandler):
    """An integration whose settings hold an address, and that keeps its notices."""

    config_type = MailLikeConfig  # type: ignore[assignment]

    def __init__(self, sent: list[Notice]) -> None:
        async def keep(_message: object) -> None:
            """Nothing is delivered here."""

        super().__init__(keep, enabled=True)
        self.sent = sent

    def settle(self, given: Metadata, known: IntegrationConfig | None, now: object) -> Settled:
        return Settled(shown=given)

    def address(self, config: Metadata) -> str:
        return str(config.get("address", ""))

    async def notify(self, notice: Notice, config: IntegrationConfig) -> bool:
        self.sent.append(notice)
        return False


@pytest.mark.parametrize(("address", "is_own"), [("Ana@Example.com", True), ("ana@other.example", False)])
async def test_the_address_of_the_sign_in_is_proven_already(dispatcher: Dispatcher, address: str, is_own: bool) -> None:
    sent: list[Notice] = []
    handlers = dispatcher.parts.accounts.handlers
    layers = dispatcher.parts.configs.layers
    handlers[IntegrationType.EMAIL] = MailLikeHandler(sent)
    layers.base[IntegrationType.EMAIL] = layers.base[IntegrationType.TEST]
    user = new_id()
    reply = await dispatcher.call("PUT", f"{MINE}/email", user, json={"config": {}})
    assert (reply.json()["is_verified"], sent) == (True, [])
    reply = await dispatcher.call("PUT", f"{MINE}/email", user, json={"config": {"address": address}})
    assert (reply.status_code, reply.json()["is_verified"], len(sent)) == (200, is_own, 0 if is_own else 1)
