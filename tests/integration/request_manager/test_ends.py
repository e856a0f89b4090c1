"""Ends without an answer: cancel, deadline, dead hand-over, closed conversation. The run row alone decides."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from request_manager.domain.ends import STATUS, EndReason, error_of
from request_manager.ends import TRIES_OF_OVERDUE
from request_manager.store.accept import REQUESTS_QUEUE
from request_manager.store.requests import ENDS_QUEUE
from shared_models.enums import Role

from tests.support.database import superuser
from tests.support.request_manager import Replica, Someone, Stage
from tests.support.waiting import eventually


async def asked(stage: Stage, count: int) -> bool:
    return len(stage.agents.asked) >= count


async def running(stage: Stage, replica: Replica, someone: Someone, **body: Any) -> str:
    """A request whose run goes on at agent-service."""
    before = len(stage.agents.asked)
    accepted = await replica.post(someone, **body)
    await eventually(lambda: asked(stage, before + 1))
    return str(accepted["request_id"])


async def cancel(replica: Replica, someone: Someone, request_id: str) -> tuple[int, dict[str, Any]]:
    reply = await replica.client.post(f"/api/v1/requests/{request_id}/cancel", headers=someone.headers)
    return reply.status_code, reply.json()


async def test_a_running_request_is_cancelled(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.holds = True
    request_id = await running(stage, replica, ana, integration_type="webhook")
    status, state = await cancel(replica, ana, request_id)
    assert (status, state["status"], state["cancelling"]) == (200, "cancelled", False)
    result = (await replica.get(ana, f"/api/v1/requests/{request_id}/result")).json()
    assert (result["status"], result["error"]["code"]) == ("cancelled", "cancelled")

    async def told() -> bool:
        return [answer.status for answer in stage.dispatcher.told] == ["cancelled"]

    await eventually(told)
    assert await replica.parts.database.fetchval("select sum(open_requests) from users") == 0


async def test_a_cancel_that_comes_too_late_shows_the_answer(stage: Stage, replica: Replica, ana: Someone) -> None:
    request_id = (await replica.ask(ana)).json()["request_id"]
    status, state = await cancel(replica, ana, request_id)
    assert (status, state["status"]) == (200, "completed")
    assert stage.agents.ended == []


async def test_the_run_decides_between_its_answer_and_a_cancel(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.holds = True
    request_id = await running(stage, replica, ana)
    run = stage.agents.asked[0]
    stage.agents.answers[run.request_id] = stage.agents.say(run)  # ended, and request-manager does not know it yet
    status, state = await cancel(replica, ana, request_id)
    assert (status, state["status"]) == (200, "completed")


async def test_a_cancel_waits_for_an_agent_service_that_is_away(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.is_away = True
    request_id = str((await replica.post(ana))["request_id"])
    await replica.parts.ends.ask(UUID(request_id), EndReason.CANCELLED)
    state = (await replica.get(ana, f"/api/v1/requests/{request_id}/status")).json()
    assert (state["status"], state["cancelling"]) == ("accepted", True)
    stage.agents.is_away = False
    state = (await replica.get(ana, f"/api/v1/requests/{request_id}/status", wait=20)).json()
    assert state["status"] in ("cancelled", "completed")
    assert state["cancelling"] is False


@pytest.mark.parametrize("integration", ["generic", "webhook"])
async def test_an_end_holds_no_lane_while_it_waits_for_the_person(
    stage: Stage, replica: Replica, ana: Someone, integration: str
) -> None:
    """Accepting locks the person, then the lane: the other way round is a deadlock."""
    stage.agents.holds = True
    request_id = await running(stage, replica, ana, integration_type=integration)
    async with superuser(stage.database_url) as accepting, accepting.transaction():
        await accepting.execute("select from users where user_id = $1 for update", ana.user_id)
        stage.agents.finish_all()

        async def waits() -> object:
            return await accepting.fetchval(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            )

        await eventually(waits)
        await accepting.execute("select from lanes for update nowait")
    result = await replica.get(ana, f"/api/v1/requests/{request_id}/result", wait=20)
    assert result.json()["status"] == "completed"


async def test_a_request_that_waits_in_its_lane_can_be_cancelled(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.holds = True
    await running(stage, replica, ana)
    session_id = str(stage.agents.asked[0].session_id)
    waiting = str((await replica.post(ana, "two", session_id=session_id))["request_id"])
    assert (await cancel(replica, ana, waiting))[1]["status"] == "cancelled"
    stage.agents.finish_all()

    async def idle() -> bool:
        return await replica.parts.database.fetchval("select count(*) from work_items") == 0

    await eventually(idle)
    assert [request.content for request in stage.agents.asked] == ["hello"]


async def test_an_operator_may_cancel_and_a_stranger_may_not(
    stage: Stage, replica: Replica, ana: Someone, ben: Someone
) -> None:
    stage.agents.holds = True
    operator = await stage.person("olivia", role=Role.OPERATOR)
    request_id = await running(stage, replica, ana)
    assert (await cancel(replica, ben, request_id))[0] == 404
    assert (await cancel(replica, operator, request_id))[1]["status"] == "cancelled"


async def test_an_overdue_request_expires_and_the_person_hears_of_it(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.holds = True
    request_id = await running(stage, replica, ana, integration_type="webhook")
    await replica.parts.database.execute("update request_logs set deadline_at = now()")
    await replica.parts.ends.sweep()
    result = (await replica.get(ana, f"/api/v1/requests/{request_id}/result", wait=20)).json()
    assert (result["status"], result["error"]["code"]) == ("expired", "deadline_passed")

    async def told() -> bool:
        return [answer.status for answer in stage.dispatcher.told] == ["expired"]

    await eventually(told)


async def test_an_overdue_request_ends_though_agent_service_stays_away(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.is_away = True
    request_id = (await replica.post(ana))["request_id"]
    database = replica.parts.database
    await database.execute("update request_logs set deadline_at = now()")
    await replica.parts.ends.sweep()

    async def ended() -> bool:
        await database.execute(
            "update work_items set attempts = $2, run_at = now() where queue = $1 and leased_by is null and dead_at is null",
            ENDS_QUEUE,
            TRIES_OF_OVERDUE - 1,
        )
        replica.parts.ends.queue.wake()
        status = (await replica.get(ana, f"/api/v1/requests/{request_id}/status")).json()["status"]
        return bool(status == "expired")

    await eventually(ended)


async def test_the_sweep_copies_an_end_that_got_lost(stage: Stage, replica: Replica, ana: Someone) -> None:
    """A row deleted by hand, a lost event: the request would wait for ever."""
    stage.agents.is_away = True
    request_id = UUID((await replica.post(ana))["request_id"])
    await replica.parts.processor.requests.stop()
    await replica.parts.database.execute("delete from work_items")
    await replica.parts.database.execute("delete from lanes")
    stage.agents.is_away = False
    stored = await replica.get(ana, f"/api/v1/requests/{request_id}")
    assert stored.json()["status"] == "accepted"
    await replica.parts.database.execute("update request_logs set deadline_at = now()")
    await replica.parts.ends.sweep()
    result = (await replica.get(ana, f"/api/v1/requests/{request_id}/result", wait=20)).json()
    assert result["status"] == "expired"


async def test_only_one_replica_sweeps_and_each_end_is_asked_for_once(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.holds = True
    for _ in range(3):
        await running(stage, replica, ana)
    await replica.parts.database.execute("update request_logs set deadline_at = now()")
    async with stage.replica() as other:
        await replica.parts.ends.sweep()
        await other.parts.ends.sweep()

        async def ended() -> bool:
            return (
                await replica.parts.database.fetchval("select bool_and(status = 'expired') from request_logs") is True
            )

        await eventually(ended)
    assert len(stage.agents.ended) == 3


async def test_a_dead_hand_over_ends_the_request_as_failed(stage: Stage, ana: Someone) -> None:
    async with stage.replica(handover_attempts=1) as replica:
        stage.agents.refuses = 503
        reply = await replica.ask(ana, integration_type="webhook")
        assert (reply.json()["status"], reply.json()["error"]["code"]) == ("failed", "handover_failed")
        dead = await replica.parts.database.fetch("select queue from work_items where dead_at is not null")
        assert [row["queue"] for row in dead] == [REQUESTS_QUEUE]

        async def told() -> bool:
            return [answer.status for answer in stage.dispatcher.told] == ["failed"]

        await eventually(told)


async def test_a_refused_hand_over_is_not_tried_again(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.refuses = 422
    reply = await replica.ask(ana)
    assert (reply.json()["status"], reply.json()["error"]["retryable"]) == ("failed", True)


async def test_without_agent_service_a_dead_hand_over_still_ends(stage: Stage, ana: Someone) -> None:
    async with stage.replica(handover_attempts=1) as replica:
        stage.agents.is_away = True
        reply = await replica.ask(ana)
        assert (reply.status_code, reply.json()["status"]) == (200, "failed")


async def test_a_hand_over_whose_worker_died_too_often_ends_by_the_sweep(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.is_away = True
    request_id = str((await replica.post(ana))["request_id"])
    await replica.parts.processor.requests.stop()
    await replica.parts.database.execute("update work_items set dead_at = now(), leased_by = null")
    stage.agents.is_away = False
    await replica.parts.ends.sweep()
    result = (await replica.get(ana, f"/api/v1/requests/{request_id}/result", wait=20)).json()
    assert (result["status"], result["error"]["code"]) == ("failed", "handover_failed")


async def die(replica: Replica) -> None:
    """As if the worker of each wanted end had died too often."""
    database = replica.parts.database
    await database.execute("update work_items set dead_at = now(), leased_by = null where queue = $1", ENDS_QUEUE)


@pytest.mark.parametrize("reason", [EndReason.EXPIRED, EndReason.UNDELIVERABLE])
async def test_an_end_whose_worker_died_too_often_comes_by_the_sweep(
    stage: Stage, replica: Replica, ana: Someone, reason: EndReason
) -> None:
    stage.agents.holds = True
    request_id = await running(stage, replica, ana, integration_type="webhook")
    await replica.parts.ends.queue.stop()
    await replica.parts.ends.ask(UUID(request_id), reason)
    await replica.parts.ends.sweep()
    status = (await replica.get(ana, f"/api/v1/requests/{request_id}/status")).json()["status"]
    assert status == "accepted", "it is still to be asked for"
    await die(replica)
    for _ in range(2):
        await replica.parts.ends.sweep()
    result = (await replica.get(ana, f"/api/v1/requests/{request_id}/result")).json()
    assert result["error"]["code"] == error_of(reason).code

    async def told() -> bool:
        return [answer.status for answer in stage.dispatcher.told] == [STATUS[reason]]

    await eventually(told)


async def test_a_close_whose_worker_died_too_often_comes_by_the_sweep(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.holds = True
    await running(stage, replica, ana)
    await replica.parts.ends.queue.stop()
    await replica.parts.ends.close_session(stage.agents.asked[0].session_id)
    await die(replica)
    await replica.parts.ends.sweep()
    assert await replica.parts.database.fetchval("select status from conversations") == "closed"


async def test_a_run_that_is_at_work_though_its_hand_over_is_dead_brings_its_answer(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.holds = True
    request_id = await running(stage, replica, ana)
    await replica.parts.processor.requests.stop()
    await replica.parts.database.execute("update work_items set dead_at = now(), leased_by = null")
    await replica.parts.ends.sweep()

    async def was_looked_for() -> bool:
        error = "select last_error from work_items where queue = $1"
        return "its run goes on" in str(await replica.parts.database.fetchval(error, ENDS_QUEUE))

    await eventually(was_looked_for)
    assert stage.agents.ended == []
    stage.agents.finish(UUID(request_id))
    await replica.parts.database.execute("update work_items set run_at = now() where queue = $1", ENDS_QUEUE)
    replica.parts.ends.queue.wake()
    result = (await replica.get(ana, f"/api/v1/requests/{request_id}/result", wait=20)).json()
    assert result["status"] == "completed"


async def test_closing_a_session_ends_what_is_open_in_it(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.holds = True
    request_id = await running(stage, replica, ana)
    session_id = stage.agents.asked[0].session_id
    waiting = (await replica.post(ana, "two", session_id=str(session_id)))["request_id"]
    reply = await replica.client.post(f"/api/v1/sessions/{session_id}/close", headers=ana.headers)
    assert reply.json()["status"] in ("closing", "closed")
    refused = await replica.ask(ana, session_id=str(session_id))
    assert (refused.status_code, refused.json()["code"]) == (409, "session_ended")
    for each in (request_id, waiting):
        result = (await replica.get(ana, f"/api/v1/requests/{each}/result", wait=20)).json()
        assert (result["status"], result["error"]["code"]) == ("failed", "session_closed")

    async def closed() -> bool:
        status = await replica.parts.database.fetchval("select status from conversations")
        return (stage.agents.closed, status) == ([session_id], "closed")

    await eventually(closed)


async def test_closing_twice_is_closing_once(stage: Stage, replica: Replica, ana: Someone) -> None:
    session_id = (await replica.ask(ana)).json()["session_id"]
    for _ in range(2):
        reply = await replica.client.post(f"/api/v1/sessions/{session_id}/close", headers=ana.headers)
        assert (reply.status_code, reply.json()["status"]) == (200, "closed")

    async def closed() -> bool:
        return len(stage.agents.closed) == 1

    await eventually(closed)


async def test_finish_cancel_close_and_sweep_of_one_session_at_once_end_each_request_once(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    stage.agents.holds = True
    request_id = await running(stage, replica, ana)
    session_id = stage.agents.asked[0].session_id
    others = [(await replica.post(ana, str(n), session_id=str(session_id)))["request_id"] for n in range(20)]
    await asyncio.gather(
        replica.parts.ends.close_session(session_id),
        *(cancel(replica, ana, each) for each in others[:10]),
        *(replica.parts.ends.sweep() for _ in range(3)),
        cancel(replica, ana, request_id),
    )
    stage.agents.finish_all()
    for each in [request_id, *others]:
        state = (await replica.get(ana, f"/api/v1/requests/{each}/status", wait=20)).json()
        assert state["status"] in ("cancelled", "failed", "completed")
    assert await replica.parts.database.fetchval("select sum(open_requests) from users") == 0
