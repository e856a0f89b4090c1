"""Answers by SMS against the stand-in, which keeps the provider's rules: sent once, reported in any order, stopped for good."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from local_stack.sms.faults import Reports, SmsFault
from shared_models.ids import new_id

from tests.support.dispatcher import ended, wish
from tests.support.sms import PHONE, SmsWorld, sms_world
from tests.support.waiting import eventually

MESSAGES = "/Messages.json"


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[SmsWorld]:
    async with sms_world(database_url, tmp_path, sms_timeout_s=3.0) as world:
        yield world


async def test_an_answer_arrives_as_plain_text_and_is_reported(world: SmsWorld) -> None:
    await world.use_phone(user := new_id())
    await world.dispatcher.plan(ended(user, wish("sms"), content="It **ships** on Monday."))
    await world.settled()
    assert world.texts() == ["It ships on Monday."]
    [delivery] = await world.dispatcher.deliveries(user)
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 1)
    assert delivery["provider_id"] == world.standin.kept.messages[0].sid
    assert PHONE not in str(delivery)
    assert world.standin.kept.messages[0].status == "delivered"


async def test_a_new_phone_is_used_after_its_owner_has_read_the_code_on_it(world: SmsWorld) -> None:
    await world.set_phone(user := new_id())
    await world.dispatcher.plan(ended(user, wish("sms")))
    await world.settled()
    [text] = world.texts()
    assert not (await world.effective(user))["is_used"]
    body = {"code": text.partition(" ")[0]}
    verified = await world.dispatcher.call("POST", "/api/v1/users/{me}/integrations/sms/verify", user, json=body)
    assert verified.status_code == 200, verified.text
    await world.dispatcher.plan(ended(user, wish("sms"), content="On Monday."))
    await world.settled()
    assert world.texts()[1:] == ["On Monday."]


@pytest.mark.parametrize("phone", [4155550100, "415-555-0100"])
async def test_a_number_without_its_country_code_is_refused_with_what_is_missing(
    world: SmsWorld, phone: int | str
) -> None:
    body = {"config": {"phone": phone}}
    reply = await world.dispatcher.call("PUT", "/api/v1/users/{me}/integrations/sms", new_id(), json=body)
    assert reply.status_code == 422, reply.text
    assert "country code" in reply.text


async def test_a_long_answer_is_one_message_with_a_link(world: SmsWorld) -> None:
    await world.use_phone(user := new_id())
    answer = ended(user, wish("sms"), content="many words " * 500)
    await world.dispatcher.plan(answer)
    await world.settled()
    [text] = world.texts()
    assert text.endswith(f"https://it.customer.com/api/v1/requests/{answer.request_id}/result")
    assert len(text) <= 459


async def test_nothing_is_sent_twice_though_every_third_reply_is_lost(world: SmsWorld) -> None:
    await world.use_phone(user := new_id())
    expected = []
    for number in range(30):
        if number % 3 == 0:
            lost = SmsFault(path=MESSAGES, method="POST", status=502, after_effect=True)
            world.standin.faults.add(lost.model_copy(update={"status": None, "silent": True}) if number == 0 else lost)
        words = f"Answer {number // 6}."  # the same words again: only our own note tells them apart
        expected.append(words)
        await world.dispatcher.plan(ended(user, wish("sms"), content=words))
        await world.dispatcher.idle()
    await world.settled()
    assert world.texts() == expected
    assert {each["status"] for each in await world.dispatcher.deliveries(user)} == {"delivered"}


async def test_a_lost_reply_is_found_in_the_list_where_no_report_tells_of_it(database_url: str, tmp_path: Path) -> None:
    async with sms_world(database_url, tmp_path, sms_callback_url="") as world:
        await world.use_phone(user := new_id())
        for _ in range(2):
            world.standin.faults.add(SmsFault(path=MESSAGES, method="POST", status=500, after_effect=True))
            await world.dispatcher.plan(ended(user, wish("sms"), content="The same words."))
            await world.settled()
        assert world.texts() == ["The same words."] * 2
        sids = {each["provider_id"] for each in await world.dispatcher.deliveries(user)}
        assert sids == {each.sid for each in world.standin.kept.messages}


async def test_a_message_that_was_never_taken_is_sent_again(world: SmsWorld) -> None:
    await world.use_phone(user := new_id())
    for fault in (SmsFault(path=MESSAGES, method="POST", status=503), SmsFault(path=MESSAGES, status=429, code=20429)):
        world.standin.faults.add(fault)
    await world.dispatcher.plan(ended(user, wish("sms"), content="Once."))
    await world.settled()
    assert world.texts() == ["Once."]
    [delivery] = await world.dispatcher.deliveries(user)
    assert delivery["attempts"] >= 3


async def test_a_number_that_takes_no_sms_is_final_and_the_next_integration_takes_over(world: SmsWorld) -> None:
    await world.use_phone(user := new_id(), "+15005550009", priority=1)
    await world.dispatcher.plan(ended(user, wish("sms", "test"), content="Hello."))
    await world.settled()
    assert await world.dispatcher.statuses(user) == {"sms": "failed", "test": "delivered"}
    assert await world.dispatcher.inbox(user) == ["Hello."]


@pytest.mark.parametrize(
    "order", [("delivered", "sent"), ("sent", "delivered"), ("delivered", "delivered", "sent", "sent")]
)
async def test_a_late_sent_after_delivered_changes_nothing(world: SmsWorld, order: tuple[str, ...]) -> None:
    world.standin.reports = Reports(are_held=True)
    await world.use_phone(user := new_id())
    await world.dispatcher.plan(ended(user, wish("sms")))
    await world.settled()
    assert set(await world.standin.release(*order)) == {204}
    status = await world.dispatcher.parts.database.fetchval("select status from sms_messages")
    assert status == "delivered"
    assert await world.dispatcher.statuses(user) == {"sms": "delivered"}


@pytest.mark.parametrize("order", [("undelivered", "sent"), ("sent", "undelivered", "undelivered"), ("undelivered",)])
async def test_undelivered_fails_the_delivery_once_and_falls_back(world: SmsWorld, order: tuple[str, ...]) -> None:
    world.standin.reports = Reports(are_held=True)
    world.standin.switch(PHONE, is_on=False)
    await world.use_phone(user := new_id())
    await world.dispatcher.plan(ended(user, wish("sms", "test"), content="Hello."))
    await world.settled()
    assert await world.dispatcher.inbox(user) == []
    await world.standin.release(*order)
    await world.settled()
    assert await world.dispatcher.statuses(user) == {"sms": "failed", "test": "delivered"}
    assert await world.dispatcher.inbox(user) == ["Hello."]
    [failed] = [each for each in await world.dispatcher.deliveries(user) if each["integration"] == "sms"]
    assert failed["reason"] == "The phone is switched off or cannot be reached. (30003)"
    [attempt] = await world.dispatcher.attempts(failed["delivery_id"], user)
    assert (attempt["outcome"], attempt["code"]) == ("rejected", 30003)
    reports = [each.status.value for each in world.dispatcher.sink.reports if each.integration == "sms"]
    assert reports == ["delivered", "failed"]


async def test_undelivered_that_comes_before_our_own_note_is_not_forgotten(world: SmsWorld) -> None:
    await world.use_phone(user := new_id())
    world.standin.faults.add(SmsFault(path=MESSAGES, method="POST", times=20, status=503))
    await world.use_phone(user, retry_delay_seconds=3600)
    await world.dispatcher.plan(ended(user, wish("sms", "test"), content="Hello."))
    [delivery] = await eventually(lambda: retrying(world, user))
    query = f"delivery={delivery['delivery_id']}&part=1"
    form = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"}
    assert (await world.call("/sms/status", form, query=query)).status_code == 204
    assert await world.dispatcher.parts.database.fetchval("select is_due from sms_messages")
    await world.dispatcher.sql("update delivery_logs set status = 'delivered', provider_id = 'SM1'")
    await eventually(lambda: failed(world, user))
    await eventually(lambda: inbox(world, user))


async def retrying(world: SmsWorld, user: UUID) -> list[dict[str, object]]:
    return [each for each in await world.dispatcher.deliveries(user) if each["status"] == "retrying"]


async def failed(world: SmsWorld, user: UUID) -> bool:
    return (await world.dispatcher.statuses(user))["sms"] == "failed"


async def inbox(world: SmsWorld, user: UUID) -> list[str]:
    return await world.dispatcher.inbox(user)
