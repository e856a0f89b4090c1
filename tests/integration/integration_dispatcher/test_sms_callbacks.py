"""Calls of the SMS provider: who gets in, what STOP and START do, and that forged, repeated and reordered calls change nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from local_stack.sms.callbacks import signature
from local_stack.sms.rules import STOPPED_TEXT
from shared_models.ids import new_id

from tests.support.dispatcher import PREFERRED, ended, wish
from tests.support.sms import AUTH_TOKEN, CALLBACK_URL, PHONE, SmsWorld, sms_world

STOPPED_REASON = "Stopped by you: text START from your phone to go on."
STATUS = {"MessageSid": "SM1", "MessageStatus": "undelivered"}
TEXT = {"MessageSid": "SM2", "From": PHONE, "Body": "STOP", "AccountSid": "AC" + "5" * 32}


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[SmsWorld]:
    async with sms_world(database_url, tmp_path) as world:
        yield world


async def rows(world: SmsWorld) -> int:
    count = await world.dispatcher.parts.database.fetchval(
        "select (select count(*) from sms_messages) + (select count(*) from sms_phones)"
    )
    assert isinstance(count, int)
    return count


async def test_a_forged_call_is_403_an_unsigned_one_401_and_neither_leaves_a_row(world: SmsWorld) -> None:
    right = signature(f"{CALLBACK_URL}/sms/inbound", TEXT, AUTH_TOKEN)
    forged = {
        "": 401,
        "x": 403,
        right.swapcase(): 403,
        signature(f"{CALLBACK_URL}/sms/inbound", TEXT, "another token"): 403,
        signature("http://evil.example/sms/inbound", TEXT, AUTH_TOKEN): 403,
        signature(f"{CALLBACK_URL}/sms/inbound", TEXT | {"From": "+14155550101"}, AUTH_TOKEN): 403,
    }
    for signed, status in forged.items():
        assert (await world.call("/sms/inbound", TEXT, signed=signed)).status_code == status, signed
    query = f"delivery={new_id()}&part=1"
    signed = signature(f"{CALLBACK_URL}/sms/status?delivery={new_id()}&part=1", STATUS, AUTH_TOKEN)
    assert (await world.call("/sms/status", STATUS, query=query, signed=signed)).status_code == 403
    assert (await world.call("/sms/inbound", TEXT | {"AccountSid": "AC1"})).status_code == 403
    assert await rows(world) == 0


async def test_every_single_byte_that_is_changed_in_a_signed_body_is_noticed(world: SmsWorld) -> None:
    signed = signature(f"{CALLBACK_URL}/sms/inbound", TEXT, AUTH_TOKEN)
    body = "&".join(f"{name}={value}" for name, value in TEXT.items()).replace("+", "%2B").encode()
    headers = {"x-twilio-signature": signed, "content-type": "application/x-www-form-urlencoded"}
    for place in range(len(body)):
        changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        reply = await world.dispatcher.http.post("/sms/inbound", content=changed, headers=headers)
        assert reply.status_code in (400, 403), changed
    assert await rows(world) == 0
    assert (await world.dispatcher.http.post("/sms/inbound", content=body, headers=headers)).status_code == 200


async def test_without_a_callback_address_nobody_gets_in(database_url: str, tmp_path: Path) -> None:
    async with sms_world(database_url, tmp_path, sms_callback_url="") as world:
        assert (await world.call("/sms/inbound", TEXT)).status_code == 403
        signed = signature("/sms/inbound", TEXT, AUTH_TOKEN)
        assert (await world.call("/sms/inbound", TEXT, signed=signed)).status_code == 403


async def test_stop_is_for_good_and_shown_until_start(world: SmsWorld) -> None:
    await world.use_phone(user := new_id(), priority=1)
    await world.standin.text(PHONE, "Stop")
    assert world.texts() == [STOPPED_TEXT]
    shown = await world.effective(user)
    assert (shown["enabled"], shown["is_used"], shown["reason"]) == (True, False, STOPPED_REASON)
    await world.dispatcher.plan(ended(user, PREFERRED, content="Hello."))
    await world.dispatcher.plan(ended(user, wish("sms"), content="Hello."))
    await world.settled()
    assert sorted((await world.dispatcher.statuses(user)).items()) == [("sms", "failed"), ("test", "delivered")]
    await world.standin.text(PHONE, "START")
    assert (await world.effective(user))["is_used"]
    await world.dispatcher.plan(ended(user, PREFERRED, content="Hello again."))
    await world.settled()
    assert world.texts()[-1] == "Hello again."


async def test_a_stop_that_only_the_provider_has_heard_is_noted_at_the_next_message(world: SmsWorld) -> None:
    await world.use_phone(user := new_id())
    world.standin.kept.stopped.append(PHONE)
    await world.dispatcher.plan(ended(user, wish("sms", "test"), content="Hello."))
    await world.settled()
    assert await world.dispatcher.statuses(user) == {"sms": "failed", "test": "delivered"}
    [failed] = [each for each in await world.dispatcher.deliveries(user) if each["integration"] == "sms"]
    assert failed["attempts"] == 1
    assert (await world.effective(user))["reason"] == STOPPED_REASON


async def test_a_repeated_stop_does_not_undo_a_later_start(world: SmsWorld) -> None:
    await world.use_phone(user := new_id())
    stop, start = TEXT, TEXT | {"MessageSid": "SM3", "Body": "start"}
    for form in (stop, stop, start, stop, start, stop):
        assert (await world.call("/sms/inbound", form)).status_code == 200
    assert (await world.effective(user))["is_used"]


async def test_one_persons_stop_is_nobody_elses(world: SmsWorld) -> None:
    await world.use_phone(new_id())
    await world.use_phone(other := new_id(), "+14155550101")
    await world.standin.text(PHONE, "STOP")
    assert (await world.effective(other))["is_used"]


async def test_another_text_is_answered_politely_once_a_day(world: SmsWorld) -> None:
    for words in ("Thank you!", "And <b>when</b>?"):
        await world.standin.text(PHONE, words)
    [answer] = world.texts()
    assert "nobody reads replies" in answer
    assert "https://it.customer.com" in answer
    await world.dispatcher.sql("update sms_phones set answered_at = now() - interval '25 hours'")
    await world.standin.text(PHONE, "Hello?")
    assert world.texts() == [answer] * 2


@pytest.mark.parametrize("form", [{"MessageStatus": "sent"}, {"MessageSid": "SM1"}, STATUS | {"MessageStatus": "read"}])
async def test_a_report_that_says_nothing_is_taken_and_forgotten(world: SmsWorld, form: dict[str, str]) -> None:
    reply = await world.call("/sms/status", form, query=f"delivery={new_id()}&part=1")
    assert (reply.status_code, await rows(world)) == (204, 0)


async def test_a_report_on_a_delivery_that_is_not_there_changes_nothing(world: SmsWorld) -> None:
    reply = await world.call("/sms/status", STATUS, query=f"delivery={new_id()}&part=1")
    assert reply.status_code == 204
    assert not await world.dispatcher.parts.database.fetchval("select is_due from sms_messages")
