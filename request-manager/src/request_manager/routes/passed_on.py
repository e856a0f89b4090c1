"""Calls that another service answers: integrations and deliveries (integration-dispatcher), agents and knowledge.

The person is verified here and named in the token with which the call is passed on."""

from fastapi import APIRouter, Response
from shared_models.enums import IntegrationType
from shared_models.integrations import (
    EffectiveIntegrationView,
    IntegrationBody,
    IntegrationDefaultBody,
    IntegrationDefaultView,
    IntegrationHealthView,
    IntegrationView,
    VerifyBody,
)
from shared_models.schemas import AgentView, KnowledgeBaseView, Page

from request_manager.routes.dependencies import EVERY_PERSON, AccountDep, PartsDep, PersonReaderDep, callers, problems
from request_manager.routes.passing import WhoDep, pass_on, user_path

router = APIRouter(prefix="/api/v1", tags=["integrations"])
catalogue = APIRouter(prefix="/api/v1", tags=["agents"])

READ = problems(403, 404, 422, 502)
WRITE = problems(400, 403, 404, 409, 422, 502)
SEND = problems(403, 404, 409, 422, 429, 502)
OWN = callers("own")
OWN_OR_ADMINISTRATOR = callers("own", "administrator")
PEOPLE = callers(*EVERY_PERSON)
OPERATORS = callers("operator", "administrator")
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
    return await pass_on(parts, caller, "GET", f"{user_path(caller, user_id)}/integrations")


@router.get(
    "/users/{user_id}/integrations/{integration}", response_model=IntegrationView, responses=READ, openapi_extra=OWN
)
async def read_integration(
    user_id: WhoDep, integration: IntegrationType, caller: AccountDep, parts: PartsDep
) -> Response:
    return await pass_on(parts, caller, "GET", f"{user_path(caller, user_id)}/integrations/{integration.value}")


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
    path = f"{user_path(caller, user_id, others=caller.is_administrator)}/integrations/{integration.value}"
    return await pass_on(parts, caller, "PUT", path, body=body)


@router.post(
    "/users/{user_id}/integrations/{integration}/verify",
    response_model=IntegrationView,
    responses=WRITE,
    openapi_extra=OWN,
)
async def verify_integration(
    user_id: WhoDep, integration: IntegrationType, body: VerifyBody, caller: AccountDep, parts: PartsDep
) -> Response:
    """Prove with the code that came there that the address is yours: before that nothing is delivered to it."""
    path = f"{user_path(caller, user_id)}/integrations/{integration.value}/verify"
    return await pass_on(parts, caller, "POST", path, body=body)


@router.post(
    "/users/{user_id}/integrations/{integration}/verify/send",
    response_model=IntegrationView,
    responses=SEND,
    openapi_extra=OWN,
)
async def send_verification_code(
    user_id: WhoDep, integration: IntegrationType, caller: AccountDep, parts: PartsDep
) -> Response:
    """Have a new code sent to the address; five an hour."""
    path = f"{user_path(caller, user_id)}/integrations/{integration.value}/verify/send"
    return await pass_on(parts, caller, "POST", path)


@router.delete("/users/{user_id}/integrations/{integration}", status_code=204, responses=READ, openapi_extra=OWN)
async def remove_integration(
    user_id: WhoDep, integration: IntegrationType, caller: AccountDep, parts: PartsDep
) -> Response:
    """Back to the default."""
    return await pass_on(parts, caller, "DELETE", f"{user_path(caller, user_id)}/integrations/{integration.value}")


@router.get(
    "/users/{user_id}/integration-defaults",
    response_model=Page[EffectiveIntegrationView],
    responses=READ,
    openapi_extra=OWN,
)
async def read_effective_integrations(user_id: WhoDep, caller: AccountDep, parts: PartsDep) -> Response:
    """What holds for the person: their own settings over the administrator's over the environment's."""
    return await pass_on(parts, caller, "GET", f"{user_path(caller, user_id)}/integration-defaults")


@router.post(
    "/users/{user_id}/integration-defaults/reset",
    response_model=Page[EffectiveIntegrationView],
    responses=READ,
    openapi_extra=OWN,
)
async def reset_integrations(user_id: WhoDep, caller: AccountDep, parts: PartsDep) -> Response:
    """Drop everything that the person has set."""
    return await pass_on(parts, caller, "POST", f"{user_path(caller, user_id)}/integration-defaults/reset")


@router.get("/integration-defaults", response_model=Page[IntegrationDefaultView], responses=READ, openapi_extra=PEOPLE)
async def list_integration_defaults(caller: AccountDep, parts: PartsDep) -> Response:
    return await pass_on(parts, caller, "GET", "/api/v1/integration-defaults")


@router.get(
    "/integration-defaults/{integration}",
    response_model=IntegrationDefaultView,
    responses=READ,
    openapi_extra=PEOPLE,
)
async def read_integration_default(integration: IntegrationType, caller: AccountDep, parts: PartsDep) -> Response:
    return await pass_on(parts, caller, "GET", f"/api/v1/integration-defaults/{integration.value}")


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
    return await pass_on(parts, caller, "PUT", f"/api/v1/integration-defaults/{integration.value}", body=body)


@router.delete("/integration-defaults/{integration}", status_code=204, responses=READ, openapi_extra=ADMINISTRATORS)
async def remove_integration_default(integration: IntegrationType, caller: AccountDep, parts: PartsDep) -> Response:
    """Back to the environment's values."""
    caller.require_administrator()
    return await pass_on(parts, caller, "DELETE", f"/api/v1/integration-defaults/{integration.value}")


@router.get("/integration-health", response_model=Page[IntegrationHealthView], responses=READ, openapi_extra=OPERATORS)
async def read_integration_health(caller: AccountDep, parts: PartsDep) -> Response:
    """Whether each integration's account at its provider works, as the last check found it."""
    caller.require_operator()
    return await pass_on(parts, caller, "GET", "/api/v1/integration-health")


@router.post(
    "/integration-health/{integration}/resume",
    response_model=IntegrationHealthView,
    responses=READ,
    openapi_extra=OPERATORS,
)
async def resume_integration(integration: IntegrationType, caller: AccountDep, parts: PartsDep) -> Response:
    """The account works again: try what waits now. A refusal pauses it again."""
    caller.require_operator()
    return await pass_on(parts, caller, "POST", f"/api/v1/integration-health/{integration.value}/resume")
