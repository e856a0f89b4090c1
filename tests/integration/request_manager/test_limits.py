"""What one person may have under way, exactly, without harm to anybody else."""

import asyncio
from collections import Counter

from tests.support.request_manager import Replica, Someone, Stage
from tests.support.waiting import eventually


async def test_of_a_thousand_posts_at_once_exactly_the_allowed_ones_are_taken(
    stage: Stage, replica: Replica, ana: Someone, ben: Someone
) -> None:
    stage.agents.holds = True
    headers = {**ana.headers, "prefer": "respond-async"}

    async def post() -> int:
        reply = await replica.client.post("/api/v1/requests/generic", json={"content": "x"}, headers=headers)
        if reply.status_code == 429:
            assert int(reply.headers["retry-after"]) >= 1
            assert '"open";r=0' in reply.headers["ratelimit"]
        return reply.status_code

    posts = [asyncio.create_task(post()) for _ in range(1000)]
    others = await replica.post(ben)
    codes = Counter(await asyncio.gather(*posts))
    assert codes == {202: 53, 429: 947}
    assert await replica.parts.database.fetchval("select count(*) from request_logs") == 54
    assert others["status"] == "accepted"
    stage.agents.finish_all()
    for row in await replica.parts.database.fetch("select request_id from request_logs"):
        reply = await replica.get(ana, f"/api/v1/requests/{row['request_id']}/status", wait=20)
        assert reply.status_code == 404 or reply.json()["status"] == "completed"
    assert await replica.parts.database.fetchval("select sum(open_requests) from users") == 0


async def test_only_so_many_requests_of_one_person_are_with_the_agents_at_once(
    stage: Stage, replica: Replica, ana: Someone, ben: Someone
) -> None:
    stage.agents.holds = True
    for n in range(6):
        await replica.post(ana, f"question {n}")
    await replica.post(ana, "status")
    await replica.post(ben, "another person's")

    async def handed_over() -> bool:
        return len(stage.agents.asked) == 5

    await eventually(handed_over)
    contents = [request.content for request in stage.agents.asked]
    assert sorted(contents) == ["another person's", "question 0", "question 1", "question 2", "status"]
    stage.agents.finish(stage.agents.asked[0].request_id)

    async def next_one() -> bool:
        return len(stage.agents.asked) == 6

    await eventually(next_one)
    stage.agents.finish_all()


async def test_two_replicas_keep_one_limit(stage: Stage, ana: Someone) -> None:
    stage.agents.holds = True
    settings = {"running_requests": 1, "waiting_requests": 4}
    async with stage.replica(**settings) as one, stage.replica(**settings) as other:
        headers = {**ana.headers, "prefer": "respond-async"}
        replies = await asyncio.gather(
            *(
                replica.client.post("/api/v1/requests/generic", json={"content": "x"}, headers=headers)
                for replica in (one, other) * 20
            )
        )
        assert Counter(reply.status_code for reply in replies) == {202: 5, 429: 35}


async def test_requests_per_minute_are_limited_and_told(stage: Stage, ana: Someone) -> None:
    async with stage.replica(requests_per_minute=3) as replica:
        replies = [await replica.ask(ana) for _ in range(5)]
        assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 429]
        assert replies[0].headers["ratelimit-policy"] == '"minute";q=3;w=60, "open";q=53'
        assert replies[0].headers["ratelimit"].startswith('"minute";r=2;t=')
        assert replies[3].json()["code"] == "too_many_requests"
        assert 1 <= int(replies[3].headers["retry-after"]) <= 61
        await replica.parts.database.execute("update users set window_ends_at = now()")
        assert (await replica.ask(ana)).status_code == 200


async def test_a_refused_request_leaves_nothing_behind(stage: Stage, ana: Someone) -> None:
    async with stage.replica(requests_per_minute=1) as replica:
        await replica.ask(ana)
        await replica.ask(ana)
        for table in ("request_logs", "conversations"):
            assert await replica.parts.database.fetchval(f"select count(*) from {table}") == 1


async def test_a_repeat_is_found_although_the_limit_is_reached(stage: Stage, ana: Someone) -> None:
    async with stage.replica(requests_per_minute=1) as replica:
        headers = {**ana.headers, "idempotency-key": "k"}
        first = await replica.client.post("/api/v1/requests/generic", json={"content": "x"}, headers=headers)
        again = await replica.client.post("/api/v1/requests/generic", json={"content": "x"}, headers=headers)
        assert (again.status_code, again.content) == (200, first.content)
