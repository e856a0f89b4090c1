"""Deliveries: taking answers to plan, and what became of them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError
from shared_models.enums import ServiceName
from shared_models.errors import InvalidRequest, NotFound
from shared_models.integrations import DeliveryAttemptView, DeliveryView, TestMessageView
from shared_models.schemas import AgentResponse, Page
from shared_models.tokens import Acting, ServiceTokens
from shared_models.web import service_caller

from integration_dispatcher.parts import Parts
from integration_dispatcher.routes.dependencies import Limit, PartsDep, acting_person, callers, need_own_or_operator
from integration_dispatcher.store import history


def deliveries_router(tokens: ServiceTokens) -> APIRouter:
    router = APIRouter(prefix="/api/v1/deliveries", tags=["deliveries"])
    person = Depends(acting_person(tokens))
    service = Depends(service_caller(tokens, ServiceName.REQUEST_MANAGER))

    @router.post("", status_code=202, response_class=Response, dependencies=[service], openapi_extra=callers("service"))
    async def plan(request: Request, parts: PartsDep) -> Response:
        """Plan the deliveries of an ended request (an AgentResponse). Safe to repeat; the reply is empty."""
        body = await request.body()
        try:
            answer = AgentResponse.read_json(body)
        except ValidationError as exc:
            fields = sorted({".".join(str(part) for part in error["loc"]) for error in exc.errors()})
            raise InvalidRequest(f"no AgentResponse: {', '.join(fields[:5])}") from exc
        if not answer.status.is_end:
            raise InvalidRequest("status: only an ended request is delivered")
        await parts.processor.plan(answer, body.decode())
        return Response(status_code=202)

    @router.get("/{delivery_id}", openapi_extra=callers("own", "operator", "administrator"))
    async def read(delivery_id: UUID, parts: PartsDep, who: Annotated[Acting, person]) -> DeliveryView:
        return await find(parts, delivery_id, who)

    @router.get("/{delivery_id}/attempts", openapi_extra=callers("own", "operator", "administrator"))
    async def attempts(delivery_id: UUID, parts: PartsDep, who: Annotated[Acting, person]) -> Page[DeliveryAttemptView]:
        await find(parts, delivery_id, who)
        rows = await history.attempts(parts.database, delivery_id)
        return Page(items=[DeliveryAttemptView.model_validate(dict(row)) for row in rows])

    @router.post("/{delivery_id}/replay", status_code=202, openapi_extra=callers("own", "operator", "administrator"))
    async def replay(delivery_id: UUID, parts: PartsDep, who: Annotated[Acting, person]) -> DeliveryView:
        """Try what failed, expired or was cancelled again, with the same ids. 409 for everything else."""
        found = await find(parts, delivery_id, who)
        await parts.processor.replay(delivery_id, found.integration)
        return await find(parts, delivery_id, who)

    return router


def history_router(tokens: ServiceTokens) -> APIRouter:
    router = APIRouter(prefix="/api/v1/users/{user_id}", tags=["deliveries"])
    person = Depends(acting_person(tokens))

    @router.get("/deliveries", openapi_extra=callers("own", "operator", "administrator"))
    async def deliveries(
        user_id: UUID, parts: PartsDep, who: Annotated[Acting, person], limit: Limit = 20, cursor: str = ""
    ) -> Page[DeliveryView]:
        """The newest first."""
        need_own_or_operator(who, user_id)
        rows = await history.deliveries(parts.database, user_id, read_cursor(cursor), limit + 1)
        items = [DeliveryView.model_validate(dict(row)) for row in rows[:limit]]
        return Page(items=items, next_cursor=str(items[-1].delivery_id) if len(rows) > limit else None)

    @router.get("/test-messages", openapi_extra=callers("own", "operator", "administrator"))
    async def inbox(
        user_id: UUID, parts: PartsDep, who: Annotated[Acting, person], limit: Limit = 20, cursor: str = ""
    ) -> Page[TestMessageView]:
        """The inbox of the test integration, the oldest first."""
        need_own_or_operator(who, user_id)
        rows = await history.inbox(parts.database, user_id, read_cursor(cursor), limit + 1)
        items = [TestMessageView.model_validate(dict(row)) for row in rows[:limit]]
        return Page(items=items, next_cursor=str(items[-1].delivery_id) if len(rows) > limit else None)

    @router.delete("/test-messages", status_code=204, openapi_extra=callers("own", "operator", "administrator"))
    async def clear(user_id: UUID, parts: PartsDep, who: Annotated[Acting, person]) -> None:
        need_own_or_operator(who, user_id)
        await history.clear_inbox(parts.database, user_id)

    return router


async def find(parts: Parts, delivery_id: UUID, who: Acting) -> DeliveryView:
    """Raises NotFound: also for another person's delivery."""
    row = await history.delivery(parts.database, delivery_id)
    if row is None:
        raise NotFound
    need_own_or_operator(who, row["user_id"])
    return DeliveryView.model_validate(dict(row))


def read_cursor(cursor: str) -> UUID | None:
    """Raises InvalidRequest."""
    try:
        return UUID(cursor) if cursor else None
    except ValueError as exc:
        raise InvalidRequest("cursor: use next_cursor of the page before") from exc
