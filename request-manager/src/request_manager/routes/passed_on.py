"""Calls that another service answers: integrations and deliveries (integration-dispatcher), agents and knowledge.

The person is verified here and named in the token with which the call is passed on."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel
from shared_models.enums import IntegrationType, ServiceName
from shared_models.errors import NotFound, ServiceError, UpstreamRejected
from shared_models.integrations import (
    DeliveryAttemptView,
    DeliveryView,
    EffectiveIntegrationView,
    IntegrationBody,
    IntegrationDefaultBody,
    IntegrationDefaultView,
    IntegrationView,
    TestMessageView,
)
from shared_models.schemas import AgentView, KnowledgeBaseView, Page

from request_manager.domain.callers import Caller
from request_manager.parts import Parts
from request_manager.routes.dependencies import (
    EVERY_PERSON,
    OWN_OR_OPERATOR,
    AccountDep,
    CursorDep,
    LimitDep,
    PartsDep,
    PersonReaderDep,
    callers,
    problems,
)

JSON = "application/json"

router = APIRouter(prefix="/api/v1", tags=["integrations"])
catalogue = APIRouter(prefix="/api/v1", tags=["agents"])

WhoDep = Annotated[UUID | Literal["me"], Path(description="a user id, or me")]
READ = problems(403, 404, 422, 502)
WRITE = problems(400, 403, 404, 409, 422, 502)
OWN = callers("own")
OWN_OR_ADMINISTRATOR = callers("own", "administrator")
PEOPLE = callers(*EVERY_PERSON)
WATCHED = callers(*OWN_OR_OPERATOR)
ADMINISTRATORS = callers("administrator")


@catalogue.get("/agents", responses=problems(403), openapi_extra=PEOPLE)
async def list_agents(caller: PersonReaderDep, parts: PartsDep) -> Page[AgentView]:
    return Page(items=await parts.agents.agents())


@catalogue.get("/knowledge-bases", responses=problems(403), openapi_extra=PEOPLE)
async def list_knowledge_bases(caller: PersonReaderDep, parts: PartsDep) -> Page[KnowledgeBaseView]:
    return Page(items=await parts.agents.knowledge_bases())


@router.get("/users/{user_id}/integrations", response_model=Page[IntegrationView], responses=READ, openapi_extra=OWN)
async def list_integrations(user_id: WhoDep, caller: AccountDep, parts: PartsDep) -> Response:
    """What the person has set."""
    return await _pass_on(parts, caller, "GET", f"{_user(caller, user_id)}/integrations")


@router.get(
    "/users/{user_id}/integrations/{integration}", response_model=IntegrationView, responses=READ, openapi_extra=OWN
)
async def read_integration(
    user_id: WhoDep, integration: IntegrationType, caller: AccountDep, parts: PartsDep
) -> Response:
    return await _pass_on(parts, caller, "GET", f"{_user(caller, user_id)}/integrations/{integration.value}")


@router.put(
    "/users/{user_id}/integrations/{integration}",
    response_model=IntegrationView,
    responses=WRITE,
    openapi_extra=OWN_OR_ADMINISTRATOR,
)
async def set_integration(
    user_id: WhoDep, integration: IntegrationType, body: IntegrationBody, caller: AccountDep, parts: PartsDep
) -> Response:
    """An administrator may only send {"enabled": false} for another person."""
    path = f"{_user(caller, user_id, others=caller.is_administrator)}/integrations/{integration.value}"
    return await _pass_on(parts, caller, "PUT", path, body=body)


@router.delete("/users/{user_id}/integrations/{integration}", status_code=204, responses=READ, openapi_extra=OWN)
async def remove_integration(
    user_id: WhoDep, integration: IntegrationType, caller: AccountDep, parts: PartsDep
) -> Response:
    """Back to the default."""
    return await _pass_on(parts, caller, "DELETE", f"{_user(caller, user_id)}/integrations/{integration.value}")


@router.get(
    "/users/{user_id}/integration-defaults",
    response_model=Page[EffectiveIntegrationView],
    responses=READ,
    openapi_extra=OWN,
)
async def read_effective_integrations(user_id: WhoDep, caller: AccountDep, parts: PartsDep) -> Response:
    """What holds for the person: their own settings over the administrator's over the environment's."""
    return await _pass_on(parts, caller, "GET", f"{_user(caller, user_id)}/integration-defaults")


@router.post(
    "/users/{user_id}/integration-defaults/reset",
    response_model=Page[EffectiveIntegrationView],
    responses=READ,
    openapi_extra=OWN,
)
async def reset_integrations(user_id: WhoDep, caller: AccountDep, parts: PartsDep) -> Response:
    """Drop everything that the person has set."""
    return await _pass_on(parts, caller, "POST", f"{_user(caller, user_id)}/integration-defaults/reset")


@router.get("/users/{user_id}/deliveries", response_model=Page[DeliveryView], responses=READ, openapi_extra=WATCHED)
async def list_deliveries_of_person(
    user_id: WhoDep, caller: AccountDep, parts: PartsDep, cursor: CursorDep = "", limit: LimitDep = 20
) -> Response:
    path = f"{_user(caller, user_id, others=caller.is_operator)}/deliveries"
    return await _pass_on(parts, caller, "GET", path, params=_page(cursor, limit))


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
    path = f"{_user(caller, user_id, others=caller.is_operator)}/test-messages"
    return await _pass_on(parts, caller, "GET", path, params=_page(cursor, limit))


@router.delete("/users/{user_id}/test-messages", status_code=204, responses=READ, openapi_extra=WATCHED)
async def clear_test_messages(user_id: WhoDep, caller: AccountDep, parts: PartsDep) -> Response:
    path = f"{_user(caller, user_id, others=caller.is_operator)}/test-messages"
    return await _pass_on(parts, caller, "DELETE", path)


@router.get("/deliveries/{delivery_id}", response_model=DeliveryView, responses=READ, openapi_extra=WATCHED)
async def read_delivery(delivery_id: UUID, caller: AccountDep, parts: PartsDep) -> Response:
    return await _pass_on(parts, caller, "GET", f"/api/v1/deliveries/{delivery_id}")


@router.get(
    "/deliveries/{delivery_id}/attempts",
    response_model=Page[DeliveryAttemptView],
    responses=READ,
    openapi_extra=WATCHED,
)
async def list_delivery_attempts(delivery_id: UUID, caller: AccountDep, parts: PartsDep) -> Response:
    return await _pass_on(parts, caller, "GET", f"/api/v1/deliveries/{delivery_id}/attempts")


@router.post(
    "/deliveries/{delivery_id}/replay",
    status_code=202,
    response_model=DeliveryView,
    responses=WRITE,
    openapi_extra=WATCHED,
)
async def replay_delivery(delivery_id: UUID, caller: AccountDep, parts: PartsDep) -> Response:
    """Deliver again what was given up."""
    return await _pass_on(parts, caller, "POST", f"/api/v1/deliveries/{delivery_id}/replay")


@router.get("/integration-defaults", response_model=Page[IntegrationDefaultView], responses=READ, openapi_extra=PEOPLE)
async def list_integration_defaults(caller: AccountDep, parts: PartsDep) -> Response:
    return await _pass_on(parts, caller, "GET", "/api/v1/integration-defaults")


@router.get(
    "/integration-defaults/{integration}",
    response_model=IntegrationDefaultView,
    responses=READ,
    openapi_extra=PEOPLE,
)
async def read_integration_default(integration: IntegrationType, caller: AccountDep, parts: PartsDep) -> Response:
    return await _pass_on(parts, caller, "GET", f"/api/v1/integration-defaults/{integration.value}")


@router.put(
    "/integration-defaults/{integration}",
    response_model=IntegrationDefaultView,
    responses=WRITE,
    openapi_extra=ADMINISTRATORS,
)
async def set_integration_default(
    integration: IntegrationType, body: IntegrationDefaultBody, caller: AccountDep, parts: PartsDep
) -> Response:
    caller.require_administrator()
    return await _pass_on(parts, caller, "PUT", f"/api/v1/integration-defaults/{integration.value}", body=body)


@router.delete("/integration-defaults/{integration}", status_code=204, responses=READ, openapi_extra=ADMINISTRATORS)
async def remove_integration_default(integration: IntegrationType, caller: AccountDep, parts: PartsDep) -> Response:
    """Back to the environment's values."""
    caller.require_administrator()
    return await _pass_on(parts, caller, "DELETE", f"/api/v1/integration-defaults/{integration.value}")


def _user(caller: Caller, user_id: UUID | str, *, others: bool = False) -> str:
    """The path of the caller; of another person if the caller may look after `others`. Raises NotFound."""
    me = caller.me.user_id
    if user_id not in ("me", me) and not others:
        raise NotFound
    return f"/api/v1/users/{me if user_id == 'me' else user_id}"


def _page(cursor: str, limit: int) -> dict[str, str | int]:
    return {"cursor": cursor, "limit": limit} if cursor else {"limit": limit}


async def _pass_on(
    parts: Parts,
    caller: Caller,
    method: str,
    path: str,
    *,
    body: BaseModel | None = None,
    params: dict[str, str | int] | None = None,
) -> Response:
    """The dispatcher's reply as it stands; its refusal in its own words."""
    token = parts.tokens.make(ServiceName.INTEGRATION_DISPATCHER, caller.acting)
    content = body.model_dump_json(exclude_unset=True).encode() if body is not None else None
    try:
        reply = await parts.dispatcher.forward(method, path, token=token, body=content, params=params or {})
    except UpstreamRejected as exc:
        raise refused(exc) from exc
    return Response(reply.content, reply.status_code, media_type=JSON if reply.content else None)


def refused(error: UpstreamRejected) -> ServiceError:
    """A neighbour's refusal as the person's own error. What it says of our token is our fault, not the person's."""
    refusal = error.refusal
    if refusal.status == 401 or not 400 <= refusal.status < 500:
        return error
    passed_on = ServiceError(refusal.message, hint=refusal.hint)
    passed_on.status, passed_on.code = refusal.status, refusal.code or f"http_{refusal.status}"
    passed_on.title = refusal.message or "The call was refused."
    return passed_on
