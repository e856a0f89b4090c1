"""The operators' desk: what was given up is listed, shown, replayed and discarded; nobody else sees it."""

from typing import Any
from uuid import UUID

import pytest
from request_manager.store.accept import REQUESTS_QUEUE
from request_manager.store.requests import ENDS_QUEUE
from shared_models.enums import Role

from tests.support.request_manager import Replica, Someone, Stage
from tests.support.waiting import eventually

LETTERS = "/api/v1/dead-letters"
DIE = """
insert into work_items (queue, ref, payload, attempts, last_error, dead_at)
select 'request-manager.responses', gen_random_uuid()::text, '{}', 40, 'cause ' || n, now() - n * interval '1 minute'
from generate_series(1, $1) n
"""


@pytest.fixture
async def olivia(stage: Stage) -> Someone:
    return await stage.person("olivia", Role.OPERATOR)


async def listed(replica: Replica, operator: Someone, **wanted: Any) -> list[dict[str, Any]]:
    reply = await replica.get(operator, LETTERS, **wanted)
    assert reply.status_code == 200, reply.text
    items: list[dict[str, Any]] = reply.json()["items"]
    return items


async def replay(replica: Replica, operator: Someone, letter_id: str) -> tuple[int, dict[str, Any]]:
    reply = await replica.client.post(f"{LETTERS}/{letter_id}/replay", headers=operator.headers)
    return reply.status_code, reply.json()


async def replay_all(replica: Replica, operator: Someone, **wanted: Any) -> dict[str, Any]:
    reply = await replica.client.post(f"{LETTERS}/replay", json=wanted, headers=operator.headers)
    assert reply.status_code == 202, reply.text
    value: dict[str, Any] = reply.json()
    return value


async def test_a_dead_hand_over_is_shown_with_its_cause_and_without_the_words(
    stage: Stage, ana: Someone, olivia: Someone
) -> None:
    async with stage.replica(handover_attempts=1) as replica:
        stage.agents.refuses = 503
        asked = (await replica.ask(ana, "my password is tulip")).json()
        [letter] = await listed(replica, olivia)
        assert (letter["kind"], letter["queue"], letter["request_id"]) == (
            "request",
            REQUESTS_QUEUE,
            asked["request_id"],
        )
        assert (letter["attempts"], letter["replayable"]) == (1, True)
        assert "503" in letter["cause"]
        reply = await replica.get(olivia, f"{LETTERS}/{letter['id']}")
        assert reply.json()["id"] == letter["id"]
        assert "tulip" not in reply.text


async def test_replaying_a_request_that_has_ended_asks_again_for_the_same_person_once(
    stage: Stage, ana: Someone, olivia: Someone
) -> None:
    async with stage.replica(handover_attempts=1) as replica:
        stage.agents.refuses = 503
        failed = (await replica.ask(ana, "hello")).json()
        assert failed["status"] == "failed"
        stage.agents.refuses = 0
        [letter] = await listed(replica, olivia)
        status, done = await replay(replica, olivia, letter["id"])
        assert status == 202
        detail = (await replica.get(ana, f"/api/v1/requests/{done['request_id']}", wait=20)).json()
        assert (detail["status"], detail["content"], detail["retry_of"]) == (
            "completed",
            "hello",
            failed["request_id"],
        )
        assert detail["session_id"] == failed["session_id"]
        assert await listed(replica, olivia) == []
        assert (await replay(replica, olivia, letter["id"]))[0] == 404


async def test_replaying_an_open_request_takes_the_wish_for_its_end_back(
    stage: Stage, ana: Someone, olivia: Someone
) -> None:
    async with stage.replica(handover_attempts=1) as replica:
        await replica.parts.ends.queue.stop()  # agent-service cannot be asked for the end
        stage.agents.refuses = 503
        request_id = (await replica.post(ana))["request_id"]

        async def wished() -> bool:
            count = "select count(*) from work_items where queue = $1"
            return await replica.parts.database.fetchval(count, ENDS_QUEUE) == 1

        await eventually(wished)
        stage.agents.refuses = 0
        [letter] = await listed(replica, olivia)
        assert await replay(replica, olivia, letter["id"]) == (202, {"id": letter["id"], "request_id": None})
        state = (await replica.get(ana, f"/api/v1/requests/{request_id}/status", wait=20)).json()
        assert state["status"] == "completed"
        assert await replica.parts.database.fetchval("select count(*) from work_items") == 0


async def test_a_request_that_was_completed_after_all_is_not_asked_again(
    replica: Replica, ana: Someone, olivia: Someone
) -> None:
    request_id = (await replica.ask(ana)).json()["request_id"]
    await replica.parts.database.execute(
        "insert into work_items (queue, ref, payload, dead_at) values ($1, $2, '{}', now())", REQUESTS_QUEUE, request_id
    )
    [letter] = await listed(replica, olivia)
    status, problem = await replay(replica, olivia, letter["id"])
    assert (status, problem["code"]) == (409, "conflict")
    assert "completed" in problem["detail"]


async def test_pages_follow_each_other_and_conditions_narrow_them(replica: Replica, olivia: Someone) -> None:
    await replica.parts.database.execute(DIE, 7)
    causes: list[str] = []
    cursor = ""
    while True:
        page = (await replica.get(olivia, LETTERS, limit=3, cursor=cursor)).json()
        causes += [item["cause"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["items"]) == 3
    assert causes == [f"cause {n}" for n in range(1, 8)]
    for wanted, found in (
        ({"cause": "CAUSE 3"}, 1),
        ({"older_than_s": 290}, 3),
        ({"newer_than_s": 290}, 4),
        ({"older_than_s": 110, "newer_than_s": 190}, 2),
        ({"kind": "event", "queue": "request-manager.responses"}, 7),
        ({"kind": "delivery"}, 0),
        ({"service": "agent-service"}, 0),
        ({"cause": "%"}, 0),
    ):
        assert len(await listed(replica, olivia, **wanted)) == found, wanted
    for wrong in ({"kind": "letter"}, {"cursor": "x~y"}, {"limit": 101}, {"colour": "red"}):
        assert (await replica.get(olivia, LETTERS, **wrong)).status_code == 422, wrong


async def test_a_filter_replays_what_fits_and_leaves_the_rest(replica: Replica, olivia: Someone) -> None:
    await replica.parts.database.execute(DIE, 130)
    await replica.parts.database.execute(
        """update work_items set payload = '{"purged": true}' where last_error = 'cause 20'"""
    )
    done = await replay_all(replica, olivia, older_than_s=600)
    assert len(done["replayed"]) + len(done["not_replayed"]) == 100
    assert [each["code"] for each in done["not_replayed"]] == ["gone"]
    rest = await replay_all(replica, olivia, older_than_s=600, cursor=done["next_cursor"])
    assert (len(rest["replayed"]), rest["next_cursor"]) == (21, None)
    assert len(await listed(replica, olivia, limit=100)) == 9 + 1


async def test_nothing_is_replayed_without_a_condition(replica: Replica, olivia: Someone) -> None:
    await replica.parts.database.execute(DIE, 1)
    reply = await replica.client.post(f"{LETTERS}/replay", json={}, headers=olivia.headers)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
    assert len((await replay_all(replica, olivia, all=True))["replayed"]) == 1


async def test_a_discarded_letter_is_gone(replica: Replica, olivia: Someone) -> None:
    await replica.parts.database.execute(DIE, 1)
    [letter] = await listed(replica, olivia)
    path = f"{LETTERS}/{letter['id']}"
    assert (await replica.client.delete(path, headers=olivia.headers)).status_code == 204
    assert (await replica.client.delete(path, headers=olivia.headers)).status_code == 404
    assert await listed(replica, olivia) == []


async def test_a_letter_of_work_that_is_still_tried_is_none(replica: Replica, olivia: Someone) -> None:
    database = replica.parts.database
    item = await database.fetchval(
        "insert into work_items (queue, ref, payload, run_at) values ('request-manager.x', '', '{}', 'infinity') returning id"
    )
    foreign = await database.fetchval(
        "insert into work_items (queue, ref, payload, dead_at) values ('agent-service.events', '', '{}', now()) returning id"
    )
    for letter_id in (
        f"request-manager:{item}",
        f"request-manager:{foreign}",
        "request-manager:x",
        "nobody:1",
        "1",
        ":",
    ):
        for method, path in (("GET", ""), ("POST", "/replay"), ("DELETE", "")):
            reply = await replica.client.request(method, f"{LETTERS}/{letter_id}{path}", headers=olivia.headers)
            assert reply.status_code == 404, (method, letter_id)
    assert await database.fetchval("select count(*) from work_items") == 2


async def test_a_service_that_is_away_is_named_and_the_others_are_listed(
    stage: Stage, replica: Replica, olivia: Someone
) -> None:
    await replica.parts.database.execute(DIE, 1)
    stage.agents.is_away = True
    page = (await replica.get(olivia, LETTERS)).json()
    assert (len(page["items"]), page["unreachable"]) == (1, ["agent-service"])
    assert (await replica.get(olivia, f"{LETTERS}/agent-service:1")).status_code == 503


async def test_only_operators_and_administrators_get_in(stage: Stage, replica: Replica, ana: Someone) -> None:
    administrator = await stage.person("ada", Role.ADMINISTRATOR)
    await replica.parts.database.execute(DIE, 1)
    [letter] = await listed(replica, administrator)
    for method, path, body in (
        ("GET", "", None),
        ("GET", f"/{letter['id']}", None),
        ("POST", f"/{letter['id']}/replay", None),
        ("POST", "/replay", {"all": True}),
        ("DELETE", f"/{letter['id']}", None),
    ):
        reply = await replica.client.request(method, LETTERS + path, json=body, headers=ana.headers)
        assert reply.status_code == 403, (method, path)
    assert UUID(letter["request_id"])
