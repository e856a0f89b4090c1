"""Waiting for an end that another replica, or nobody at all, tells of."""

import asyncio
from uuid import UUID

from tests.support.database import superuser
from tests.support.request_manager import Replica, Someone, Stage
from tests.support.waiting import eventually

KILL_LISTENERS = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and query ilike 'listen%' and pid <> pg_backend_pid()
"""


async def asked(stage: Stage) -> bool:
    return bool(stage.agents.asked)


async def wait_for(replica: Replica, someone: Someone, request_id: str) -> str:
    reply = await replica.get(someone, f"/api/v1/requests/{request_id}/result", wait=20)
    return str(reply.json()["status"])


async def watched(replica: Replica, request_id: str) -> bool:
    return UUID(request_id) in replica.parts.waiting.watched


async def test_another_replica_hears_of_the_end(stage: Stage, ana: Someone) -> None:
    stage.agents.holds = True
    async with stage.replica() as one, stage.replica() as other:
        request_id = (await one.post(ana))["request_id"]
        waiting = asyncio.create_task(wait_for(other, ana, request_id))
        await eventually(lambda: watched(other, request_id))
        stage.agents.finish_all()
        assert await waiting == "completed"


async def test_a_waiter_is_served_without_any_notification(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.holds = True
    request_id = (await replica.post(ana))["request_id"]
    waiting = asyncio.create_task(wait_for(replica, ana, request_id))
    await eventually(lambda: watched(replica, request_id))
    await replica.parts.database.execute("update request_logs set status = 'expired', ended_at = now()")
    assert await waiting == "expired"


async def test_an_end_during_the_loss_of_the_listening_connection_is_seen_after_it(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.holds = True
    request_id = (await replica.post(ana))["request_id"]
    waiting = asyncio.create_task(wait_for(replica, ana, request_id))
    await eventually(lambda: watched(replica, request_id))
    async with superuser(stage.database_url) as administrator:
        assert await administrator.fetchval(KILL_LISTENERS) == 1
        await administrator.execute("update request_logs set status = 'expired', ended_at = now()")
        assert await waiting == "expired"

        async def listens_again() -> bool:
            return bool(await administrator.fetchval(KILL_LISTENERS.replace("pg_terminate_backend(pid)", "pid")))

        await eventually(listens_again)


async def test_work_of_a_replica_that_stopped_is_taken_over(stage: Stage, ana: Someone) -> None:
    stage.agents.holds = True
    async with stage.replica() as survivor:
        async with stage.replica() as leaving:
            request_id = (await leaving.post(ana))["request_id"]
            await eventually(lambda: asked(stage))
        stage.agents.finish_all()
        assert await wait_for(survivor, ana, request_id) == "completed"


async def test_who_waits_when_the_process_is_to_stop_is_told_at_once_how_far_it_is(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.holds = True
    request_id = (await replica.post(ana))["request_id"]
    waiting = asyncio.create_task(replica.get(ana, f"/api/v1/requests/{request_id}/result", wait=100))
    await eventually(lambda: watched(replica, request_id))
    replica.parts.waiting.let_go()
    reply = await waiting
    assert reply.status_code == 202
    later = await replica.get(ana, f"/api/v1/requests/{request_id}/result", wait=100)
    assert later.status_code == 202
    stage.agents.finish_all()
