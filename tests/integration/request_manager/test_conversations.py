"""Sessions over the API: owner and state from request-manager, the rest from agent-service."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared_models.enums import IntegrationType, ServiceName, SessionStatus
from shared_models.schemas import SessionView
from shared_models.tokens import ServiceTokens

from tests.support.request_manager import TOKEN_KEY, Replica, Someone, Stage

AGENT_SIDE = ServiceTokens(TOKEN_KEY, ServiceName.AGENT_SERVICE)


def known(stage: Stage, session_id: str, someone: Someone) -> None:
    """agent-service has a session of this id."""
    now = datetime.now(UTC)
    stage.agents.sessions[UUID(session_id)] = SessionView(
        session_id=UUID(session_id),
        user_id=someone.user_id,
        integration_type=IntegrationType.GENERIC,
        conversation_key="k",
        status=SessionStatus.ACTIVE,
        agent="laptop-refresh",
        title="Laptop",
        created_at=now,
        expires_at=now + timedelta(hours=1),
    )


async def test_a_session_is_shown_with_what_agent_service_knows(stage: Stage, replica: Replica, ana: Someone) -> None:
    session_id = (await replica.ask(ana)).json()["session_id"]
    before = (await replica.get(ana, f"/api/v1/sessions/{session_id}")).json()
    assert (before["status"], before["request_count"], before["agent"]) == ("active", 1, None)
    known(stage, session_id, ana)
    after = (await replica.get(ana, f"/api/v1/sessions/{session_id}")).json()
    assert (after["agent"], after["title"]) == ("laptop-refresh", "Laptop")
    acting = AGENT_SIDE.verify(stage.agents.tokens[-1].removeprefix("Bearer ")).acting
    assert acting is not None
    assert acting.user_id == ana.user_id
    assert (await replica.get(ana, f"/api/v1/sessions/{session_id}/messages")).json()["items"] == []


async def test_the_list_shows_ones_own_sessions_with_our_state(
    stage: Stage, replica: Replica, ana: Someone, ben: Someone
) -> None:
    own, foreign = [(await replica.ask(who)).json()["session_id"] for who in (ana, ben)]
    known(stage, own, ana)
    known(stage, foreign, ben)
    await replica.parts.database.execute("update conversations set expires_at = now()")
    items = (await replica.get(ana, "/api/v1/sessions")).json()["items"]
    assert [(item["session_id"], item["status"]) for item in items] == [(own, "expired")]


async def test_a_session_is_renamed_once_it_has_begun(stage: Stage, replica: Replica, ana: Someone) -> None:
    session_id = (await replica.ask(ana)).json()["session_id"]
    path = f"/api/v1/sessions/{session_id}"
    assert (await replica.client.patch(path, json={"title": "Mine"}, headers=ana.headers)).status_code == 409
    known(stage, session_id, ana)
    renamed = await replica.client.patch(path, json={"title": "Mine"}, headers=ana.headers)
    assert renamed.json()["title"] == "Mine"
    assert (await replica.client.patch(path, json={"title": ""}, headers=ana.headers)).status_code == 422


async def test_a_foreign_session_is_not_there(stage: Stage, replica: Replica, ana: Someone, ben: Someone) -> None:
    session_id = (await replica.ask(ana)).json()["session_id"]
    known(stage, session_id, ana)
    path = f"/api/v1/sessions/{session_id}"
    replies = [
        await replica.client.get(path, headers=ben.headers),
        await replica.client.get(f"{path}/messages", headers=ben.headers),
        await replica.client.patch(path, json={"title": "Mine"}, headers=ben.headers),
        await replica.client.post(f"{path}/close", headers=ben.headers),
    ]
    assert [reply.status_code for reply in replies] == [404] * 4
    assert (await replica.ask(ana, session_id=session_id)).status_code == 200


async def test_the_catalogue_is_agent_services(replica: Replica, ana: Someone) -> None:
    for path in ("/api/v1/agents", "/api/v1/knowledge-bases"):
        assert (await replica.get(ana, path)).json() == {"items": [], "next_cursor": None}


async def test_without_agent_service_reading_is_a_503(stage: Stage, replica: Replica, ana: Someone) -> None:
    session_id = (await replica.ask(ana)).json()["session_id"]
    stage.agents.is_away = True
    reply = await replica.get(ana, f"/api/v1/sessions/{session_id}")
    assert (reply.status_code, reply.json()["code"]) == (503, "upstream_unavailable")
    assert "agents.test" not in reply.text
