"""The first request is as fast as the next: every path is walked once before the service says that it is ready."""

import asyncio

import httpx
from fastapi import FastAPI
from shared_models.database import Database
from shared_models.enums import IntegrationType, RequestStatus
from shared_models.errors import UpstreamRejected, UpstreamUnavailable
from shared_models.ids import new_id
from shared_models.logging import get_logger
from shared_models.schemas import AgentRef, AgentResponse, Person, ResponseContent

from request_manager.domain.normalizer import IncomingRequest
from request_manager.parts import Parts
from request_manager.store import people
from request_manager.store import requests as store
from request_manager.store.accept import accept

NOBODY = "ssa_00000000_" + "0" * 43

log = get_logger(__name__)


async def warm_up(app: FastAPI, parts: Parts) -> None:
    """Nothing is left behind: the statements run for a person and a request that do not exist."""
    size = parts.settings.database_pool_size
    await asyncio.gather(*(_statements(parts) for _ in range(size)))
    await asyncio.gather(_routes(app), _neighbour(parts))


async def _statements(parts: Parts) -> None:
    """Run side by side, so that every connection of the pool has prepared them."""
    database: Database = parts.database
    now = parts.processor.now()
    request = IncomingRequest(
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


async def _routes(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://warm-up") as client:
        headers = {"authorization": f"Bearer {NOBODY}", "prefer": "wait=1", "idempotency-key": "warm-up"}
        await client.post("/api/v1/requests/generic", json={"content": "warm-up"}, headers=headers)


async def _neighbour(parts: Parts) -> None:
    """Imports and connects what the first hand-over needs; agent-service may well be away."""
    try:
        await parts.agents.alive()
    except (UpstreamRejected, UpstreamUnavailable) as exc:
        log.info("neighbour_not_there_yet", cause=str(exc))
