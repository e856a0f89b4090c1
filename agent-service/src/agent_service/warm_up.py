"""Goes each way of the hot path once, with nothing to do, so that the first answer is as fast as the next."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import orjson
from fastapi import FastAPI
from shared_models.database import Database
from shared_models.enums import IntegrationType, RequestStatus, ServiceName
from shared_models.ids import new_id
from shared_models.logging import get_logger
from shared_models.schemas import AgentRef, NormalizedRequest, Person
from shared_models.tokens import ServiceTokens
from shared_models.work_item import WorkItem

from agent_service.domain import answers
from agent_service.domain.answers import Reply
from agent_service.domain.turn import MODEL, Step
from agent_service.store import begin, checkpoints, finish, intake
from agent_service.store.finish import Claim, End, Finish
from agent_service.store.intake import RUNS, NewRun

NOBODY = UUID(int=0)
AT_ONCE = 2
PATIENCE_S = 5.0

log = get_logger(__name__)


class _Undo(Exception):
    """Ends a transaction without a trace."""


async def warm_statements(database: Database, worker: str) -> None:
    """Plan the statements on the connections that are there at start. Raises Unavailable."""
    await asyncio.gather(*(_warm(database, worker) for _ in range(AT_ONCE)))


async def _warm(database: Database, worker: str) -> None:
    request = nobodys_request()
    body = request.model_dump_json().encode()
    new = NewRun(
        *(request, body, "", "call"),
        is_laned=True,
        worker=worker,
        expires_at=request.deadline_at,
        at_most=1,
        with_intent=True,
    )
    with suppress(_Undo):
        async with database.transaction() as tx:
            await tx.fetchrow(intake.INSERT, *new.values())
            raise _Undo
    item = WorkItem(0, RUNS, str(NOBODY), str(request.request_id), {}, claim=0)
    step = Step(1, MODEL, is_result=False, data={})
    await begin.start(database, item, worker, at_most=1, with_intent=True, with_request=False)
    await checkpoints.checkpoint(database, request.request_id, 0, [step])
    answer = answers.completed(request, Reply("", AgentRef(name="", version="")), now=request.created_at)
    end = End(RequestStatus.COMPLETED.value, answer.model_dump_json().encode(), orjson.dumps({}))
    done = Finish(attempt=0, session_id=NOBODY, steps=[step])
    await finish.finish(database, request, done, end, Claim(item, worker, None))


async def warm_patiently(name: str, warm: Callable[[], Awaitable[None]], *, patience_s: float = PATIENCE_S) -> None:
    """Call a neighbour once. One that starts at the same time gets a moment; one that is away is left for later."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + patience_s
    while True:
        try:
            return await warm()
        except Exception as exc:  # noqa: BLE001  # what is away now may be back when it is needed
            if loop.time() > give_up_at:
                log.warning("not_warmed", what=name, cause=type(exc).__name__)
                return None
        await asyncio.sleep(0.1)


async def warm_routes(app: FastAPI, key: str) -> None:
    """Go through the HTTP layer once: a run that is not there, and a body that is no request."""
    token = ServiceTokens(key, ServiceName.REQUEST_MANAGER).make(ServiceName.AGENT_SERVICE)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://agent-service", headers=headers) as http:
        await http.get(f"/api/v1/runs/{NOBODY}")
        await http.post("/api/v1/answers", content=nobodys_request().model_dump_json(exclude={"person"}))


def nobodys_request() -> NormalizedRequest:
    now = datetime.now(UTC)
    return NormalizedRequest(
        request_id=new_id(),
        session_id=new_id(),
        sequence=1,
        person=Person(user_id=NOBODY, email=""),
        integration_type=IntegrationType.TEST,
        content="",
        conversation_key="",
        created_at=now,
        deadline_at=now + timedelta(seconds=1),
    )
