"""Reading requests, and what people do with them afterwards."""

from request_manager.store.retention import removals
from shared_models.enums import RequestStatus, Role
from shared_models.retention import Retention
from shared_models.schemas import ErrorInfo

from tests.support.neighbours import answer_to
from tests.support.request_manager import Replica, Someone, Stage
from tests.support.waiting import eventually


async def test_a_list_shows_ones_own_requests_page_by_page(replica: Replica, ana: Someone, ben: Someone) -> None:
    for n in range(5):
        await replica.ask(ana, f"question {n} " + "x" * 300)
    await replica.ask(ben, "foreign")
    first = (await replica.get(ana, "/api/v1/requests", limit=3)).json()
    second = (await replica.get(ana, "/api/v1/requests", limit=3, cursor=first["next_cursor"])).json()
    excerpts = [item["excerpt"] for item in first["items"] + second["items"]]
    assert [excerpt[:10] for excerpt in excerpts] == [f"question {n}" for n in (4, 3, 2, 1, 0)]
    assert {len(excerpt) for excerpt in excerpts} == {200}
    assert second["next_cursor"] is None
    assert {item["agent"] for item in first["items"]} == {"routing-agent"}
    session_id = first["items"][0]["session_id"]
    assert len((await replica.get(ana, "/api/v1/requests", session_id=session_id)).json()["items"]) == 1
    assert (await replica.get(ana, "/api/v1/requests", status="failed")).json()["items"] == []
    assert (await replica.get(ana, "/api/v1/requests", user_id=str(ben.user_id))).status_code == 404


async def test_an_operator_sees_everybodys_requests_without_their_words(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    operator = await stage.person("olivia", Role.OPERATOR)
    request_id = (await replica.ask(ana, "my secret", metadata={"secret": 1})).json()["request_id"]
    await replica.ask(operator, "mine")
    items = (await replica.get(operator, "/api/v1/requests")).json()["items"]
    assert [item["excerpt"] for item in items] == ["mine", None]
    only = (await replica.get(operator, "/api/v1/requests", user_id=str(ana.user_id))).json()["items"]
    assert [item["request_id"] for item in only] == [request_id]
    detail = await replica.get(operator, f"/api/v1/requests/{request_id}")
    assert (detail.status_code, detail.json()["status"]) == (200, "completed")
    assert "secret" not in detail.text
    assert (await replica.get(operator, f"/api/v1/requests/{request_id}/status")).status_code == 200
    for part in ("result", "events"):
        assert (await replica.get(operator, f"/api/v1/requests/{request_id}/{part}")).status_code == 404
    for action in ("retry", "feedback"):
        body = {"rating": "up"} if action == "feedback" else None
        reply = await replica.client.post(
            f"/api/v1/requests/{request_id}/{action}", json=body, headers=operator.headers
        )
        assert reply.status_code == 404


async def test_a_foreign_request_is_like_one_that_is_not_there(replica: Replica, ana: Someone, ben: Someone) -> None:
    foreign = (await replica.ask(ana)).json()["request_id"]
    missing = "0199b1c0-0000-7000-8000-000000000000"
    for part in ("", "/status", "/result", "/events"):
        bodies = []
        for request_id in (foreign, missing):
            reply = await replica.get(ben, f"/api/v1/requests/{request_id}{part}")
            assert reply.status_code == 404
            bodies.append(reply.text.replace(reply.json()["request_id"], ""))
        assert bodies[0] == bodies[1]


async def test_a_failed_request_is_asked_again_as_a_new_one(stage: Stage, replica: Replica, ana: Someone) -> None:
    error = ErrorInfo(code="mcp_unavailable", message="Please try again.", retryable=True)
    stage.agents.say = lambda request: answer_to(request, status=RequestStatus.FAILED, error=error)
    failed = (await replica.ask(ana, "again please", metadata={"a": 1}, integration_type="webhook")).json()
    stage.agents.say = answer_to
    path = f"/api/v1/requests/{failed['request_id']}/retry"
    headers = {**ana.headers, "idempotency-key": "retry-1"}
    reply = await replica.client.post(path, headers=headers)
    assert (reply.status_code, reply.json()["status"]) == (200, "completed")
    assert reply.json()["session_id"] == failed["session_id"]
    again = stage.agents.asked[1]
    assert str(again.retry_of) == failed["request_id"]
    assert (again.content, again.metadata, again.sequence) == ("again please", {"a": 1}, 2)
    assert again.delivery is not None
    assert (await replica.client.post(path, headers=headers)).content == reply.content
    detail = (await replica.get(ana, f"/api/v1/requests/{reply.json()['request_id']}")).json()
    assert detail["retry_of"] == failed["request_id"]


async def test_a_request_that_goes_on_cannot_be_asked_again(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.holds = True
    request_id = (await replica.post(ana))["request_id"]
    reply = await replica.client.post(f"/api/v1/requests/{request_id}/retry", headers=ana.headers)
    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")


async def test_the_latest_feedback_counts_and_earlier_ones_are_kept(
    replica: Replica, ana: Someone, ben: Someone
) -> None:
    request_id = (await replica.ask(ana)).json()["request_id"]
    path = f"/api/v1/requests/{request_id}/feedback"
    for rating in ("up", "down"):
        reply = await replica.client.post(
            path, json={"rating": rating, "reason": f"because {rating}"}, headers=ana.headers
        )
        assert reply.status_code == 200
    detail = (await replica.get(ana, f"/api/v1/requests/{request_id}")).json()
    assert (detail["feedback"]["rating"], detail["feedback"]["reason"]) == ("down", "because down")
    assert await replica.parts.database.fetchval("select count(*) from feedback") == 2
    assert (await replica.client.post(path, json={"rating": "up"}, headers=ben.headers)).status_code == 404
    assert (await replica.client.post(path, json={"rating": "great"}, headers=ana.headers)).status_code == 422


async def test_content_is_gone_after_its_time(replica: Replica, ana: Someone) -> None:
    request_id = (await replica.ask(ana, "my secret", metadata={"secret": 1})).json()["request_id"]
    await replica.parts.database.execute("update request_logs set ended_at = now() - interval '91 days'")
    await Retention(replica.parts.database, removals(replica.parts.settings)).run_once()
    for part in ("/result", "/events"):
        reply = await replica.get(ana, f"/api/v1/requests/{request_id}{part}")
        assert (reply.status_code, reply.json()["code"]) == (410, "gone")
    detail = await replica.get(ana, f"/api/v1/requests/{request_id}")
    assert (detail.json()["status"], detail.json()["content"]) == ("completed", None)
    row = await replica.parts.database.fetchrow("select request_logs::text as all from request_logs")
    assert row is not None
    assert "secret" not in row["all"]
    retry = await replica.client.post(f"/api/v1/requests/{request_id}/retry", headers=ana.headers)
    assert retry.status_code == 410


async def test_idle_lanes_are_removed(replica: Replica, ana: Someone) -> None:
    await replica.ask(ana)
    await replica.parts.database.execute("update lanes set updated_at = now() - interval '2 hours'")
    await replica.parts.ends.sweep()

    async def gone() -> bool:
        return await replica.parts.database.fetchval("select count(*) from lanes") == 0

    await eventually(gone)
