"""Answers that reach a phone, from the question to the report, and a person who stops them."""

from tests.support.sms import PHONE
from tests.support.system import System
from tests.support.waiting import eventually


async def test_the_preferred_answer_is_read_on_the_phone_until_the_person_says_stop(system: System) -> None:
    for other in ("slack", "email"):  # which would come first for this person
        off = await system.request("PUT", "alice", f"/api/v1/users/me/integrations/{other}", json={"enabled": False})
        assert off.status_code == 200, off.text
    await system.use_phone("alice", PHONE)
    asked = await system.ask("alice", "hello", deliver_to="preferred")
    await system.idle()
    await system.sms.idle()
    _, text = [each.body for each in system.sms.to(PHONE)]
    assert text.splitlines()[0] in asked.content
    result = (await system.get("alice", f"/api/v1/requests/{asked.request_id}")).json()
    assert result["deliveries"] == [{"integration": "sms", "status": "delivered"}]

    await system.sms.text(PHONE, "STOP")
    await system.ask("alice", "hello", deliver_to="preferred")
    await system.idle()
    assert await system.test_messages("alice")
    view = (await system.get("alice", "/api/v1/users/me/integration-defaults")).json()["items"]
    [sms] = [each for each in view if each["integration"] == "sms"]
    assert (sms["is_used"], sms["reason"]) == (False, "Stopped by you: text START from your phone to go on.")


async def test_a_phone_that_is_off_hands_the_answer_to_the_next_integration(system: System) -> None:
    await system.use_phone("alice", PHONE)
    system.sms.switch(PHONE, is_on=False)
    await system.ask("alice", "hello", deliver_to=["sms", "test"])

    async def arrived() -> bool:
        await system.idle()
        return bool(await system.test_messages("alice"))

    await eventually(arrived)
    found = (await system.get("alice", "/api/v1/users/me/deliveries")).json()["items"]
    states = {each["integration"]: each["status"] for each in found}
    assert states == {"sms": "failed", "test": "delivered"}
