"""Secrets of people's settings: nowhere to be read, and sealed anew when the key changes."""

import base64
import os

import httpx
import pytest
from integration_dispatcher.background import resealing
from integration_dispatcher.handlers.webhook import new_secret
from shared_models.ids import new_id

from tests.support.dispatcher import SECRETS_KEY, TOKEN_KEY, all_rows, ended, running, settings, wish
from tests.support.waiting import eventually
from tests.support.webhook import WebhookReceiver

HOOK = "http://127.0.0.1:1799/hook?token=in-the-path"
MINE = "/api/v1/users/{me}/integrations"


async def test_neither_a_table_nor_a_log_holds_a_secret(
    database_url: str, receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    user = new_id()
    given_settings = settings(database_url)
    async with running(given_settings) as dispatcher:
        secret = await dispatcher.set_webhook(user, HOOK)
        given = new_secret()
        await dispatcher.call("PUT", MINE + "/webhook", user, json={"config": {"url": HOOK, "secret": given}})
        await dispatcher.plan(ended(user, wish("webhook")))
        receiver.is_willing = False
        await dispatcher.set_webhook(user, receiver.url)
        receiver.failures.extend([500, 410])
        await dispatcher.plan(ended(user, wish("webhook")))
        await dispatcher.idle()
    shown = capfd.readouterr()
    logs = f"{caplog.text}{shown.out}{shown.err}{given_settings!r}"
    dump = await all_rows(database_url)
    code = receiver.challenges[-1].body["data"]["code"]
    assert f'"{code}"' not in dump + logs
    assert f",{code}," not in dump
    assert "whsec" not in dump + logs
    for each in (secret, given, SECRETS_KEY, TOKEN_KEY, receiver.challenges[-1].body["data"]["challenge"]):
        assert each not in dump + logs
        assert each.removeprefix("whsec_")[:20] not in dump + logs


async def test_secrets_outlive_a_change_of_the_key_and_its_loss_is_told(database_url: str) -> None:
    user = new_id()
    other_key = SECRETS_KEY[::-1].lstrip("=") + "="
    async with running(settings(database_url)) as dispatcher:
        await dispatcher.set_webhook(user, HOOK, retry_count=0)
    rotated = settings(database_url, secrets_key=other_key, secrets_previous_keys=SECRETS_KEY)
    async with running(rotated) as dispatcher:
        await dispatcher.plan(ended(user, wish("webhook")))
        await dispatcher.idle()
        [delivery] = await dispatcher.deliveries(user)
        assert delivery["reason"] == "No connection to the receiver."
    lost = base64.b64encode(os.urandom(32)).decode()
    async with running(settings(database_url, secrets_key=lost)) as dispatcher:
        await dispatcher.plan(ended(user, wish("webhook")))
        await dispatcher.idle()
        delivery, _ = await dispatcher.deliveries(user)
        assert delivery["reason"] == "Its stored settings cannot be read; set the integration up again."
        assert (await dispatcher.set_webhook(user, HOOK)).startswith("whsec_")


async def test_a_start_with_a_new_key_seals_everything_anew_and_then_the_old_key_can_go(database_url: str) -> None:
    users = [new_id() for _ in range(3)]
    other_key = SECRETS_KEY[::-1].lstrip("=") + "="
    async with running(settings(database_url)) as dispatcher:
        for user in users:
            await dispatcher.set_webhook(user, HOOK, retry_count=0)
        await dispatcher.sql("update user_integration_configs set secrets = 'gone.AAAA' where user_id = $1", users[2])
    rotated = settings(database_url, secrets_key=other_key, secrets_previous_keys=SECRETS_KEY)
    async with running(rotated) as dispatcher:

        async def is_resealed() -> bool:
            return await resealing(dispatcher.parts).left() == 1

        await eventually(is_resealed)
        assert await resealing(dispatcher.parts).run() == 0
        transport = httpx.ASGITransport(dispatcher.app.state.operations)
        async with httpx.AsyncClient(transport=transport, base_url="http://operations") as operations:
            detailed = (await operations.get("/health/detailed")).json()
        assert detailed["secrets"] == {"sealed_with_an_earlier_key": 1}
    async with running(settings(database_url, secrets_key=other_key)) as dispatcher:
        for user in users[:2]:
            await dispatcher.plan(ended(user, wish("webhook")))
            await dispatcher.idle()
            [delivery] = await dispatcher.deliveries(user)
            assert delivery["reason"] == "No connection to the receiver."
