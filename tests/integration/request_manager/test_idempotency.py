"""The same key is the same request, for 24 hours, whoever is first."""

import asyncio

from tests.support.request_manager import Replica, Someone, Stage, service_headers
from tests.support.waiting import eventually


async def test_fifty_posts_with_one_key_are_one_request(stage: Stage, ana: Someone) -> None:
    async with stage.replica() as one, stage.replica() as other:
        headers = {**ana.headers, "idempotency-key": "slack:T1:C1:17.1"}
        replies = await asyncio.gather(
            *(
                replica.client.post("/api/v1/requests/generic", json={"content": "once"}, headers=headers)
                for replica in (one, other) * 25
            )
        )
        assert {reply.status_code for reply in replies} == {200}
        assert len({reply.content for reply in replies}) == 1
        assert len(stage.agents.asked) == 1
        counts = (
            "select (select count(*) from request_logs), (select count(*) from conversations), open_requests from users"
        )
        assert tuple(await one.parts.database.fetchrow(counts) or ()) == (1, 1, 0)


async def test_a_repeat_shows_the_present_state(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.holds = True
    headers = {**ana.headers, "idempotency-key": "k", "prefer": "respond-async"}
    first = await replica.client.post("/api/v1/requests/generic", json={"content": "x"}, headers=headers)
    again = await replica.client.post("/api/v1/requests/generic", json={"content": "x"}, headers=headers)
    assert (again.status_code, again.json()) == (202, first.json())
    stage.agents.finish_all()
    headers["prefer"] = "wait=20"
    ended = await replica.client.post("/api/v1/requests/generic", json={"content": "x"}, headers=headers)
    assert (ended.status_code, ended.json()["request_id"]) == (200, first.json()["request_id"])


async def test_the_same_key_with_another_body_is_refused(replica: Replica, ana: Someone) -> None:
    headers = {**ana.headers, "idempotency-key": "k"}
    assert (
        await replica.client.post("/api/v1/requests/web", json={"content": "x", "metadata": {}}, headers=headers)
    ).status_code == 200
    for path, body in (("web", {"content": "y"}), ("generic", {"content": "x"})):
        reply = await replica.client.post(f"/api/v1/requests/{path}", json=body, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (422, "idempotency_conflict")
    same = await replica.client.post("/api/v1/requests/web", json={"metadata": {}, "content": "x"}, headers=headers)
    assert same.status_code == 200


async def test_keys_of_two_callers_do_not_meet(replica: Replica, ana: Someone, ben: Someone) -> None:
    replies = [
        await replica.client.post(
            "/api/v1/requests/generic",
            json={"content": who.email},
            headers={**who.headers, "idempotency-key": "k"},
        )
        for who in (ana, ben)
    ]
    assert [reply.status_code for reply in replies] == [200, 200]


async def test_a_repeat_into_a_session_that_was_closed_since_still_finds_its_request(
    replica: Replica, ana: Someone
) -> None:
    headers = {**ana.headers, "idempotency-key": "k"}
    session_id = (await replica.ask(ana)).json()["session_id"]
    body = {"content": "x", "session_id": session_id}
    first = await replica.client.post("/api/v1/requests/generic", json=body, headers=headers)
    assert (await replica.client.post(f"/api/v1/sessions/{session_id}/close", headers=ana.headers)).status_code == 200
    again = await replica.client.post("/api/v1/requests/generic", json=body, headers=headers)
    assert again.content == first.content


async def test_a_key_is_free_again_after_a_day(replica: Replica, ana: Someone) -> None:
    headers = {**ana.headers, "idempotency-key": "k"}
    await replica.client.post("/api/v1/requests/generic", json={"content": "x"}, headers=headers)
    await replica.parts.database.execute("update request_logs set created_at = now() - interval '25 hours'")
    await replica.parts.ends.sweep()
    other = await replica.client.post("/api/v1/requests/generic", json={"content": "y"}, headers=headers)
    assert other.status_code == 200


async def test_the_dispatchers_key_keeps_a_mention_to_one_request(stage: Stage, replica: Replica, ana: Someone) -> None:
    body = {
        "content": "hello",
        "user_id": str(ana.user_id),
        "channel_id": "C1",
        "slack_user_id": "U1",
        "slack_team_id": "T1",
    }
    headers = {**service_headers(), "idempotency-key": "slack:T1:C1:17.1", "prefer": "respond-async"}
    replies = [await replica.client.post("/api/v1/requests/slack", json=body, headers=headers) for _ in range(2)]
    assert replies[0].json()["request_id"] == replies[1].json()["request_id"]

    async def told() -> bool:
        return len(stage.dispatcher.told) == 1

    await eventually(told)
