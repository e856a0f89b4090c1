"""Asking by mail, and answers by mail."""

import re
from email.message import EmailMessage
from typing import Any

from local_stack.mail.faults import Fault
from shared_models.enums import Role

from tests.support.mail import AGENT, text_of
from tests.support.people import api_key_of
from tests.support.system import Json, System
from tests.support.waiting import eventually

ALICE = "alice@example.com"


async def use_mail(system: System, person: str, **body: Any) -> None:
    """E-mail first for this person, at the address of the sign-in."""
    given = {"enabled": True, "priority": 1, **body}
    reply = await system.request("PUT", person, "/api/v1/users/me/integrations/email", json=given)
    assert reply.status_code == 200, reply.text


async def all_seen(system: System) -> None:
    """Until the agent's mailbox holds nothing unread: a mail is marked after it is recorded, perhaps after its answer."""

    async def is_so() -> bool:
        return all(each.is_seen for each in system.mail.mails(AGENT))

    await eventually(is_so)


def ids(mail: EmailMessage, name: str) -> list[str]:
    return str(mail.get(name, "")).split()


async def test_a_mail_is_answered_in_its_thread_and_the_answer_to_that_goes_on(system: System) -> None:
    await system.key_of("alice")
    asked = await system.mail.write(ALICE, "Hello", "Good morning to you")
    [first] = await system.mail.arrived(ALICE)
    message_id = str(asked.parsed["message-id"])
    assert (first.parsed["in-reply-to"], first.parsed["subject"]) == (message_id, "Re: Hello")
    await system.mail.standin.answer(first, "help")
    _, second = await system.mail.arrived(ALICE, 2)
    assert ids(second.parsed, "references")[0] == message_id
    await system.idle()
    requests = (await system.get("alice", "/api/v1/requests")).json()["items"]
    assert len(requests) == 2
    assert len({each["session_id"] for each in requests}) == 1
    assert {each["integration_type"] for each in requests} == {"email"}
    await all_seen(system)


async def test_an_answer_goes_to_the_preferred_mailbox_and_answering_it_goes_on_with_the_session(
    system: System,
) -> None:
    await use_mail(system, "alice")
    asked = await system.ask("alice", "hello", deliver_to="preferred")
    [mail] = await system.mail.arrived(ALICE)
    assert asked.content.splitlines()[0] in text_of(mail.parsed)
    await system.mail.standin.answer(mail, "hello again")
    await system.mail.arrived(ALICE, 2)
    await system.idle()
    requests = (await system.get("alice", "/api/v1/requests")).json()["items"]
    assert [each["session_id"] for each in requests] == [str(asked.session)] * 2


async def test_where_mail_cannot_leave_the_next_integration_takes_over(system: System) -> None:
    system.mail.standin.faults.add(Fault(verb="DATA", code=451, times=-1))
    await system.use_webhook("alice")
    await use_mail(system, "alice", retry_count=1, retry_delay_seconds=0)
    for integration, body in {"webhook": {"enabled": True, "priority": 2}, "slack": {"enabled": False}}.items():
        reply = await system.request("PUT", "alice", f"/api/v1/users/me/integrations/{integration}", json=body)
        assert reply.status_code == 200, reply.text
    await system.ask("alice", "hello", deliver_to="preferred")

    async def has_arrived() -> bool:
        return len(system.webhook.accepted) == 1

    await eventually(has_arrived)
    items = (await system.get("alice", "/api/v1/users/me/deliveries")).json()["items"]
    [failed] = [each for each in items if each["integration"] == "email"]
    assert failed["status"] == "failed"
    attempts = (await system.get("alice", f"/api/v1/deliveries/{failed['delivery_id']}/attempts")).json()["items"]
    assert [(each["outcome"], each["code"]) for each in attempts] == [("delayed", 451)] * 2
    assert system.mail.mails(ALICE) == []


async def test_two_machines_that_answer_each_other_stop_after_five_messages(system: System) -> None:
    await system.key_of("alice")
    system._keys["olivia"] = await api_key_of(system.database_url, "olivia", Role.OPERATOR)
    system.mail.standin.robots[ALICE] = "I am away until Monday."
    await system.mail.write(ALICE, "Away", "I am away until Monday.")
    await system.mail.arrived(ALICE, 5)

    async def is_stopped() -> list[Json]:
        reply = await system.get("olivia", "/api/v1/dead-letters")
        return [each for each in reply.json()["items"] if "5 answers" in str(each)]

    await eventually(is_stopped)
    await system.idle()
    assert len(system.mail.mails(ALICE)) == 5
    assert "this was the last one" in text_of(system.mail.mails(ALICE)[-1].parsed)


async def test_a_forged_mail_gets_one_plain_answer_and_no_request(system: System) -> None:
    await system.key_of("alice")
    for number in range(3):
        await system.mail.write(ALICE, f"Order {number}", "Order me a laptop", is_forged=True)
    [answer] = await system.mail.arrived(ALICE)
    assert "did not confirm that it came from you" in " ".join(text_of(answer.parsed).split())
    await all_seen(system)
    await system.idle()
    assert len(system.mail.mails(ALICE)) == 1
    assert (await system.get("alice", "/api/v1/requests")).json()["items"] == []


async def test_who_confirms_a_doubtful_mail_gets_its_answer_in_the_thread(system: System) -> None:
    await system.key_of("alice")
    asked = await system.mail.write(ALICE, "Hello", "Good morning to you", is_forged=True)
    [doubt] = await system.mail.arrived(ALICE)
    await system.idle()
    [link] = re.findall(r"<(http://[^>]*/email/verify/[^>]*)>", text_of(doubt.parsed))
    assert (await system.http.post(link)).status_code == 200
    _, answer = await system.mail.arrived(ALICE, 2)
    assert answer.parsed["in-reply-to"] == str(asked.parsed["message-id"])
    await system.idle()
    assert len((await system.get("alice", "/api/v1/requests")).json()["items"]) == 1
