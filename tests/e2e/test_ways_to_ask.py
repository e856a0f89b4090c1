"""The same answer by waiting, by polling, and over the event stream with a reconnect."""

import asyncio
import json
import time
from uuid import UUID, uuid4

import httpx

from tests.support.system import System
from tests.support.waiting import eventually


async def test_a_sync_reply_is_the_result_byte_for_byte(system: System) -> None:
    reply = await system.post("alice", {"content": "hello"})
    assert reply.status_code == 200
    again = await system.get("alice", f"/api/v1/requests/{reply.json()['request_id']}/result")
    assert again.content == reply.content


async def test_an_async_request_is_polled_to_its_end(system: System) -> None:
    reply = await system.post("alice", {"content": "hello"}, headers={"prefer": "respond-async"})
    assert reply.status_code == 202
    assert reply.headers["preference-applied"] == "respond-async"
    assert "retry-after" in reply.headers
    assert set(reply.json()) == {"request_id", "session_id", "status"}
    result = await system.get("alice", f"/api/v1/requests/{reply.json()['request_id']}/result?wait=100")
    assert result.json()["status"] == "completed"
    assert result.json()["response"]["content"]


async def test_a_short_wait_ends_with_202_and_the_work_goes_on(system: System) -> None:
    system.model.hold_all()
    reply = await system.post("alice", {"content": "hello"}, headers={"prefer": "wait=1"})
    assert reply.status_code == 202
    system.model.release()
    result = await system.get("alice", f"/api/v1/requests/{reply.json()['request_id']}/result?wait=100")
    assert result.json()["status"] == "completed"


async def test_a_request_that_takes_its_time_is_shown_as_being_worked_on(system: System) -> None:
    system.model.hold_all()
    accepted = await system.post(
        "alice", {"content": "hello", "deliver_to": ["test"]}, headers={"prefer": "respond-async"}
    )
    path = f"/api/v1/requests/{accepted.json()['request_id']}"

    async def is_shown() -> bool:
        return bool((await system.get("alice", f"{path}/status")).json()["status"] == "processing")

    await eventually(is_shown)
    system.model.release()
    result = await system.get("alice", f"{path}/result?wait=100")
    assert result.json()["status"] == "completed"
    await system.idle()
    assert len(await system.test_messages("alice")) == 1


async def test_the_event_stream_resumes_after_a_cut(system: System) -> None:
    system.model.hold_all()
    body = {"content": "hello", "stream": True}
    accepted = await system.post("alice", body, headers={"prefer": "respond-async"})
    path = f"/api/v1/requests/{accepted.json()['request_id']}/events"
    first = await system.read_events("alice", path, until="status")
    system.model.release()
    last_id = next((event.id for event in reversed(first) if event.id), "")
    rest = await system.read_events("alice", path, until="answer", last_event_id=last_id)
    result = await system.get("alice", f"/api/v1/requests/{accepted.json()['request_id']}/result")
    assert rest[-1].event == "answer"
    assert rest[-1].data.encode() == result.content
    text = "".join(json.loads(event.data)["text"] for event in rest if event.event == "delta")
    assert text in ("", result.json()["response"]["content"])


async def test_fifty_posts_with_one_key_are_one_request(system: System) -> None:
    key = {"idempotency-key": uuid4().hex}
    replies = await asyncio.gather(*(system.post("alice", {"content": "hello"}, headers=key) for _ in range(50)))
    assert {reply.status_code for reply in replies} <= {200, 202}
    assert len({reply.json()["request_id"] for reply in replies}) == 1
    assert len(system.model.seen) == 1


async def test_another_body_with_the_same_key_is_refused(system: System) -> None:
    key = {"idempotency-key": uuid4().hex}
    assert (await system.post("alice", {"content": "hello"}, headers=key)).status_code == 200
    assert (await system.post("alice", {"content": "bye"}, headers=key)).status_code == 422


async def test_a_foreign_session_or_request_does_not_exist(system: System) -> None:
    mine = (await system.post("alice", {"content": "hello"})).json()
    for path in ("", "/status", "/result", "/events"):
        assert (await system.get("noah", f"/api/v1/requests/{mine['request_id']}{path}")).status_code == 404
    for path in ("", "/messages"):
        assert (await system.get("noah", f"/api/v1/sessions/{mine['session_id']}{path}")).status_code == 404
    reply = await system.post("noah", {"content": "hello", "session_id": mine["session_id"]})
    assert reply.status_code == 404


async def test_a_closed_session_takes_no_more_requests(system: System) -> None:
    mine = (await system.post("alice", {"content": "hello"})).json()
    closed = await system.request("POST", "alice", f"/api/v1/sessions/{mine['session_id']}/close")
    assert closed.status_code == 200

    async def is_refused() -> bool:
        reply = await system.post("alice", {"content": "hello", "session_id": mine["session_id"]})
        return reply.status_code == 409

    await eventually(is_refused)


async def test_requests_of_one_session_are_answered_in_their_order(system: System) -> None:
    first = (await system.post("alice", {"content": "hello"})).json()
    posts = [
        await system.post(
            "alice",
            {"content": f"hello number {number}", "session_id": first["session_id"]},
            headers={"prefer": "respond-async"},
        )
        for number in range(8)
    ]
    ended: list[httpx.Response] = [
        await system.get("alice", f"/api/v1/requests/{post.json()['request_id']}/result?wait=100") for post in posts
    ]
    times = [reply.json()["completed_at"] for reply in ended]
    assert times == sorted(times)
    messages = await system.get("alice", f"/api/v1/sessions/{first['session_id']}/messages?limit=100")
    said = [item["content"] for item in messages.json()["items"] if item["role"] == "user"]
    assert said == ["hello", *(f"hello number {number}" for number in range(8))]


async def test_one_persons_flood_is_limited_and_others_are_unharmed(system: System) -> None:
    began_s = time.monotonic()
    flood = asyncio.gather(
        *(system.post("alice", {"content": "hello"}, headers={"prefer": "respond-async"}) for _ in range(300))
    )
    await system.ask("noah", "hello")
    statuses = [reply.status_code for reply in await flood]
    begun_minutes = 1 + (time.monotonic() - began_s) // 60
    assert set(statuses) == {202, 429}
    assert statuses.count(202) <= 60 * begun_minutes
    await system.idle()


async def test_a_cancelled_request_ends_once_and_stays_so(system: System) -> None:
    system.model.hold_all()
    accepted = (await system.post("alice", {"content": "hello"}, headers={"prefer": "respond-async"})).json()
    request_id = UUID(accepted["request_id"])
    cancelled = await system.request("POST", "alice", f"/api/v1/requests/{request_id}/cancel")
    assert cancelled.status_code in (200, 202)
    system.model.release()
    result = await system.get("alice", f"/api/v1/requests/{request_id}/result?wait=100")
    assert result.json()["status"] == "cancelled"
    retried = await system.request("POST", "alice", f"/api/v1/requests/{request_id}/retry")
    assert retried.json()["status"] == "completed"
    assert retried.json()["request_id"] != str(request_id)
