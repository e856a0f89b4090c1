"""The first request is as fast as the next: every path is walked once before the service says that it is ready."""

import asyncio
from contextlib import suppress
from datetime import datetime

import httpx
from fastapi import FastAPI
from shared_models.database import Database
from shared_models.enums import IntegrationType, RequestStatus
from shared_models.errors import NotFound, UpstreamRejected, UpstreamUnavailable
from shared_models.ids import new_id
from shared_models.logging import get_logger
from shared_models.schemas import AgentRef, AgentResponse, Person, ResponseContent

from request_manager.domain.normalizer import IncomingRequest
from request_manager.parts import Parts
from request_manager.store import people
from request_manager.store import requests as store
from request_manager.store.accept import accept

NEIGHBOUR_TRIES, NEIGHBOUR_PAUSE_S = 60, 0.25
NOBODY = "ssa_00000000_" + "0" * 43

log = get_logger(__name__)


async def warm_up(app: FastAPI, parts: Parts) -> None:
    """Nothing is left behind: the statements run for a person and a request that do not exist."""
    await parts.database.on_each_connection(lambda each: _statements(each, parts))
    with suppress(NotFound):
        await parts.processor.accept_and_wait(_request(parts.processor.now()), 0)
    await _routes(app)


async def _statements(database: Database, parts: Parts) -> None:
    now = parts.processor.now()
    request = _request(now)
    await accept(database, [request], parts.processor.limits, worker=None)
    answer = AgentResponse(
        request_id=request.request_id,
        session_id=new_id(),
        sequence=1,
        person=Person(user_id=request.user_id, email=""),
        integration_type=IntegrationType.GENERIC,
        status=RequestStatus.COMPLETED,
        response=ResponseContent(content="", agent=AgentRef(name="", version="")),
        created_at=now,
        ended_at=now,
        deadline_at=now,
    )
    await store.complete_requests(database, [store.Ended(answer, announce=False)], worker=None, owner="")
    await store.result(database, request.request_id)
    await people.find_keys(database, [NOBODY])


def _request(now: datetime) -> IncomingRequest:
    """Of a person who does not exist."""
    return IncomingRequest(
        request_id=new_id(),
        user_id=new_id(),
        caller_id="warm-up",
        integration_type=IntegrationType.GENERIC,
        request_type="message",
        content="warm-up",
        session_id=None,
        conversation_key="",
        metadata={},
        context={},
        delivery=None,
        confirm=None,
        stream=False,
        created_at=now,
        deadline_at=now,
    )


async def _routes(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://warm-up") as client:
        headers = {"authorization": f"Bearer {NOBODY}", "prefer": "wait=1", "idempotency-key": "warm-up"}
        await client.post("/api/v1/requests/generic", json={"content": "warm-up"}, headers=headers)


async def connect_to_neighbour(parts: Parts) -> None:
    """The first hand-over finds a connection. agent-service starts more slowly, or may be away: it is tried for a while."""
    for _ in range(NEIGHBOUR_TRIES):
        try:
            await parts.agents.alive()
            return
        except (UpstreamRejected, UpstreamUnavailable) as exc:
            log.debug("neighbour_not_there_yet", cause=str(exc))
        await asyncio.sleep(NEIGHBOUR_PAUSE_S)
    log.info("neighbour_not_there")
