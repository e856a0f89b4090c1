"""What agent-service removes after its time, and that a late event then still has no effect."""

from agent_service.store.retention import removals
from shared_models.ids import new_id
from shared_models.retention import Retention

from tests.support.agent_world import AgentWorld
from tests.support.waiting import eventually

CONTENT = ("run_steps", "session_messages", "confirmations", "request_sessions")
AGE = "update {table} set {column} = {column} - $1 * interval '1 day' where {column} is not null"


async def remove(world: AgentWorld) -> dict[str, int]:
    removed = await Retention(world.parts.database, removals(world.settings())).run_once()
    return {what: count for what, count in removed.items() if count}


async def age(world: AgentWorld, days: float) -> None:
    """Let the time pass for all that is there; a session's id tells when it was made."""
    for table, column in (
        ("agent_runs", "ended_at"),
        ("request_sessions", "last_request_at"),
        ("confirmations", "created_at"),
    ):
        await world.parts.database.execute(AGE.format(table=table, column=column), days)
    old = "substring(replace(session_id::text, '-', '') from 13)"
    for table in ("agent_runs", "request_sessions", "session_messages", "confirmations"):
        await world.parts.database.execute(f"update {table} set session_id = ('000000000000' || {old})::uuid")


async def idle(world: AgentWorld) -> None:
    async def is_idle() -> bool:
        return await world.sql("select from work_items") == []

    await eventually(is_idle)


async def counts(world: AgentWorld) -> dict[str, int]:
    return {table: (await world.sql(f"select count(*) as n from {table}"))[0]["n"] for table in CONTENT}


async def test_content_goes_first_and_a_late_event_is_not_answered_again(world: AgentWorld) -> None:
    request = world.request("hello")
    assert (await world.tell(request)).status_code == 202
    await idle(world)
    assert len(world.sink.of("response.ready")) == 1
    await age(world, 89)
    assert await remove(world) == {}
    await age(world, 2)
    assert await remove(world) == {"run_content": 1, "sessions": 1}
    assert await counts(world) == dict.fromkeys(CONTENT, 0)
    [run] = await world.sql("select request, answer, state, ended_at from agent_runs")
    assert (run["request"], run["answer"], run["state"]) == ("{}", None, "completed")
    for _ in range(2):
        assert (await world.tell(request)).status_code == 202
    await idle(world)
    assert (len(world.model.seen), len(world.sink.of("response.ready"))) == (1, 1)
    await age(world, 400)
    assert await remove(world) == {"runs": 1}
    assert await world.sql("select from agent_runs") == []


async def test_what_is_young_or_at_work_stays(world: AgentWorld) -> None:
    session = new_id()
    await world.ask("hello", session=session)
    before = await counts(world)
    world.model.hold()
    request = world.request("wait", session=session)
    await world.tell(request)
    await world.until_model_was_asked()
    await world.parts.database.execute("update request_sessions set last_request_at = now() - interval '500 days'")
    assert await remove(world) == {}
    assert (await counts(world))["request_sessions"] == before["request_sessions"] == 1
    world.model.release()
    await idle(world)
