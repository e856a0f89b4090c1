"""The stream of a request: agent-service's run events passed on, the end from our own row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import orjson
import pytest
from request_manager import streams
from shared_clients.stream import ServerSentEvent

from tests.support.neighbours import Events
from tests.support.request_manager import Replica, Someone, Stage
from tests.support.waiting import eventually

DELTA = ServerSentEvent("delta", '{"text": "Hel"}', "1-1").encode()
REST = ServerSentEvent("delta", '{"text": "lo"}', "1-2").encode()
ANSWER_OF_THE_RUN = ServerSentEvent("answer", "{}", "1-3").encode()


def parse(raw: bytes) -> list[tuple[str, Any]]:
    """(name, data) of each event; heartbeats are ("", None)."""
    events: list[tuple[str, Any]] = []
    for block in raw.decode().strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        events.append((lines.get("event", ""), orjson.loads(lines["data"]) if "data" in lines else None))
    return events


async def read(replica: Replica, someone: Someone, request_id: str, last_event_id: str = "") -> list[tuple[str, Any]]:
    headers = {**someone.headers, "last-event-id": last_event_id} if last_event_id else someone.headers
    reply = await replica.client.get(f"/api/v1/requests/{request_id}/events", headers=headers)
    assert reply.headers["content-type"].startswith("text/event-stream"), reply.text
    return parse(reply.content)


@asynccontextmanager
async def reading(
    replica: Replica, someone: Someone, request_id: str, **more: str
) -> AsyncIterator["asyncio.Task[Any]"]:
    task = asyncio.create_task(read(replica, someone, request_id, **more))

    async def watched() -> bool:
        return UUID(request_id) in replica.parts.waiting.watched

    await eventually(watched)
    yield task


async def held(stage: Stage, replica: Replica, someone: Someone) -> str:
    stage.agents.holds = True
    request_id = str((await replica.post(someone))["request_id"])

    async def asked() -> bool:
        return bool(stage.agents.asked)

    await eventually(asked)
    return request_id


async def test_run_events_are_passed_on_and_the_answer_is_our_own(stage: Stage, replica: Replica, ana: Someone) -> None:
    request_id = await held(stage, replica, ana)
    run = stage.agents.streams[UUID(request_id)] = Events()
    async with reading(replica, ana, request_id) as stream:
        for chunk in (DELTA, b": heartbeat\n\n", REST, ANSWER_OF_THE_RUN, None):
            run.items.put_nowait(chunk)
        stage.agents.finish_all()
        events = await stream
    assert [name for name, _ in events] == ["status", "delta", "delta", "answer"]
    assert "".join(data["text"] for name, data in events if name == "delta") == "Hello"
    result = await replica.get(ana, f"/api/v1/requests/{request_id}/result")
    assert events[-1][1] == result.json()


async def test_a_stream_may_begin_before_the_run(stage: Stage, replica: Replica, ana: Someone) -> None:
    request_id = await held(stage, replica, ana)
    async with reading(replica, ana, request_id) as stream:
        run = stage.agents.streams[UUID(request_id)] = Events()
        run.items.put_nowait(DELTA)
        run.items.put_nowait(None)

        async def resumed() -> bool:
            return bool(stage.agents.resumed_after)

        await eventually(resumed)
        stage.agents.finish_all()
        events = await stream
    assert [name for name, _ in events] == ["status", "delta", "answer"]


async def test_an_ended_request_has_a_stream_of_its_answer_alone(stage: Stage, replica: Replica, ana: Someone) -> None:
    request_id = (await replica.ask(ana)).json()["request_id"]
    events = await read(replica, ana, request_id)
    assert [name for name, _ in events] == ["answer"]
    headers = {**ana.headers, "last-event-id": "end"}
    assert (await replica.client.get(f"/api/v1/requests/{request_id}/events", headers=headers)).status_code == 204


async def test_a_stream_is_resumed_after_the_last_event(stage: Stage, replica: Replica, ana: Someone) -> None:
    request_id = await held(stage, replica, ana)
    run = stage.agents.streams[UUID(request_id)] = Events()
    async with reading(replica, ana, request_id, last_event_id="1-1") as stream:
        run.items.put_nowait(REST)
        run.items.put_nowait(None)
        stage.agents.finish_all()
        events = await stream
    assert stage.agents.resumed_after == ["1-1"]
    assert [name for name, _ in events] == ["delta", "answer"]


async def test_a_broken_connection_to_the_run_is_made_again_where_it_broke(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    request_id = await held(stage, replica, ana)
    broken = stage.agents.streams[UUID(request_id)] = Events(breaks=True)
    broken.items.put_nowait(DELTA)
    broken.items.put_nowait(None)
    async with reading(replica, ana, request_id) as stream:
        second = Events()

        async def begun() -> bool:
            return stage.agents.resumed_after == [""]

        await eventually(begun)
        stage.agents.streams[UUID(request_id)] = second
        second.items.put_nowait(REST)
        second.items.put_nowait(None)

        async def resumed() -> bool:
            return "1-1" in stage.agents.resumed_after

        await eventually(resumed)
        stage.agents.finish_all()
        events = await stream
    assert [name for name, _ in events] == ["status", "delta", "delta", "answer"]


async def test_a_cancelled_request_ends_its_stream_with_the_reason(
    stage: Stage, replica: Replica, ana: Someone
) -> None:
    request_id = await held(stage, replica, ana)
    async with reading(replica, ana, request_id) as stream:
        await replica.client.post(f"/api/v1/requests/{request_id}/cancel", headers=ana.headers)
        events = await stream
    assert [name for name, _ in events] == ["status", "error"]
    assert events[-1][1]["error"]["code"] == "cancelled"


async def test_silence_is_filled_with_a_sign_of_life(
    stage: Stage, replica: Replica, ana: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.01)
    request_id = await held(stage, replica, ana)
    stored = await replica.parts.processor.read(UUID(request_id))
    stream = replica.parts.streams.events(stored, "", "user:ana")
    chunks = [await anext(stream), await anext(stream), await anext(stream)]
    assert chunks[1:] == [b": heartbeat\n\n"] * 2
    stage.agents.finish_all()
    rest = [chunk async for chunk in stream]
    assert rest[-1].startswith(b"event: answer")


async def test_one_caller_reads_only_so_many_streams_at_once(
    stage: Stage, replica: Replica, ana: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_PER_CALLER", 1)
    request_id = await held(stage, replica, ana)
    async with reading(replica, ana, request_id) as stream:
        refused = await replica.get(ana, f"/api/v1/requests/{request_id}/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        stage.agents.finish_all()
        await stream
    assert replica.parts.streams.open == {}
    assert (await read(replica, ana, request_id))[-1][0] == "answer"


async def test_another_replica_streams_as_well(stage: Stage, ana: Someone) -> None:
    async with stage.replica() as one, stage.replica() as other:
        request_id = await held(stage, one, ana)
        async with reading(other, ana, request_id) as stream:
            stage.agents.finish_all()
            assert [name for name, _ in await stream] == ["status", "answer"]
