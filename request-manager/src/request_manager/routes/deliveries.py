"""What was delivered and what became of it, the test inbox: integration-dispatcher answers."""

from uuid import UUID

from fastapi import APIRouter, Response
from shared_models.integrations import DeliveryAttemptView, DeliveryView, TestMessageView
from shared_models.schemas import Page

from request_manager.routes.dependencies import (
    OWN_OR_OPERATOR,
    AccountDep,
    CursorDep,
    LimitDep,
    PartsDep,
    callers,
    problems,
)
from request_manager.routes.passing import WhoDep, page_params, pass_on, user_path

router = APIRouter(prefix="/api/v1", tags=["integrations"])

READ = problems(403, 404, 422, 502)
WRITE = problems(400, 403, 404, 409, 422, 502)
WATCHED = callers(*OWN_OR_OPERATOR)


@router.get("/users/{user_id}/deliveries", response_model=Page[DeliveryView], responses=READ, openapi_extra=WATCHED)
async def list_deliveries_of_person(
    user_id: WhoDep, caller: AccountDep, parts: PartsDep, cursor: CursorDep = "", limit: LimitDep = 20
) -> Response:
    path = f"{user_path(caller, user_id, others=caller.is_operator)}/deliveries"
    return await pass_on(parts, caller, "GET", path, params=page_params(cursor, limit))


@router.get(
    "/users/{user_id}/test-messages",
    response_model=Page[TestMessageView],
    responses=READ,
    openapi_extra=WATCHED,
)
async def list_test_messages(
    user_id: WhoDep, caller: AccountDep, parts: PartsDep, cursor: CursorDep = "", limit: LimitDep = 20
) -> Response:
    """The inbox of the test integration, the oldest first."""
    path = f"{user_path(caller, user_id, others=caller.is_operator)}/test-messages"
    return await pass_on(parts, caller, "GET", path, params=page_params(cursor, limit))


@router.delete("/users/{user_id}/test-messages", status_code=204, responses=READ, openapi_extra=WATCHED)
async def clear_test_messages(user_id: WhoDep, caller: AccountDep, parts: PartsDep) -> Response:
    path = f"{user_path(caller, user_id, others=caller.is_operator)}/test-messages"
    return await pass_on(parts, caller, "DELETE", path)


@router.get("/deliveries/{delivery_id}", response_model=DeliveryView, responses=READ, openapi_extra=WATCHED)
async def read_delivery(delivery_id: UUID, caller: AccountDep, parts: PartsDep) -> Response:
    return await pass_on(parts, caller, "GET", f"/api/v1/deliveries/{delivery_id}")


@router.get(
    "/deliveries/{delivery_id}/attempts",
    response_model=Page[DeliveryAttemptView],
    responses=READ,
    openapi_extra=WATCHED,
)
async def list_delivery_attempts(delivery_id: UUID, caller: AccountDep, parts: PartsDep) -> Response:
    return await pass_on(parts, caller, "GET", f"/api/v1/deliveries/{delivery_id}/attempts")


@router.post(
    "/deliveries/{delivery_id}/replay",
    status_code=202,
    response_model=DeliveryView,
    responses=WRITE,
    openapi_extra=WATCHED,
)
async def replay_delivery(delivery_id: UUID, caller: AccountDep, parts: PartsDep) -> Response:
    """Deliver again what was given up."""
    return await pass_on(parts, caller, "POST", f"/api/v1/deliveries/{delivery_id}/replay")
