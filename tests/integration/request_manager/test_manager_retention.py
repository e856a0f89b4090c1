"""What request-manager removes after its time: the words, then the rows with the feedback, then the conversation."""

from request_manager.store.retention import removals
from shared_models.retention import Retention

from tests.support.request_manager import Replica, Someone, Stage

COUNTS = (
    "select (select count(*) from request_logs), (select count(*) from feedback), (select count(*) from conversations)"
)
# The id of a conversation tells when it was made: give it an old one.
OLD_CONVERSATION = """
with made as (
  insert into conversations (session_id, user_id, integration_type, key, status, last_request_at, expires_at)
  select '00000000-0000-7000-8000-000000000001', user_id, integration_type, 'old', 'closed',
         now() - interval '500 days', now() from conversations limit 1
)
update request_logs set session_id = '00000000-0000-7000-8000-000000000001'
"""


async def remove(replica: Replica) -> dict[str, int]:
    removed = await Retention(replica.parts.database, removals(replica.parts.settings)).run_once()
    return {what: count for what, count in removed.items() if count}


async def age(replica: Replica, days: float) -> None:
    await replica.parts.database.execute(
        "update request_logs set ended_at = ended_at - $1 * interval '1 day', created_at = created_at - $1 * interval '1 day'",
        days,
    )


async def test_words_go_first_and_rows_later(stage: Stage, replica: Replica, ana: Someone) -> None:
    request_id = (await replica.ask(ana, "my password is tulip")).json()["request_id"]
    path = f"/api/v1/requests/{request_id}"
    feedback = {"rating": "down", "reason": "tulip was not taken"}
    await replica.client.post(f"{path}/feedback", json=feedback, headers=ana.headers)
    await age(replica, 89)
    assert await remove(replica) == {}
    await age(replica, 2)
    assert await remove(replica) == {"request_content": 1}
    assert (await replica.get(ana, f"{path}/result")).status_code == 410
    detail = await replica.get(ana, path)
    assert (detail.json()["status"], detail.json()["feedback"]["rating"]) == ("completed", "down")
    assert "tulip" not in detail.text
    await age(replica, 400)
    await replica.parts.database.execute(OLD_CONVERSATION)
    before = await replica.parts.database.fetchrow(COUNTS)
    assert before is not None
    assert tuple(before) == (1, 1, 2)
    assert await remove(replica) == {"requests": 1, "conversations": 1}
    after = await replica.parts.database.fetchrow(COUNTS)
    assert after is not None
    assert tuple(after) == (0, 0, 1)
    assert (await replica.get(ana, path)).status_code == 404


async def test_an_open_request_and_its_conversation_stay(stage: Stage, replica: Replica, ana: Someone) -> None:
    stage.agents.holds = True
    await replica.post(ana)
    await age(replica, 1000)
    await replica.parts.database.execute("update conversations set last_request_at = now() - interval '1000 days'")
    assert await remove(replica) == {}
    stage.agents.finish_all()
