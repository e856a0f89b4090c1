"""Settings of integrations: people's own, and administrators' defaults."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from shared_models.enums import IntegrationType
from shared_models.errors import NotAllowed, NotFound
from shared_models.integrations import (
    EffectiveIntegrationView,
    IntegrationBody,
    IntegrationDefaultBody,
    IntegrationDefaultView,
    IntegrationView,
    VerifyBody,
)
from shared_models.schemas import Page
from shared_models.tokens import Acting, ServiceTokens

from integration_dispatcher.routes.dependencies import (
    PartsDep,
    acting_person,
    callers,
    is_administrator,
    need_administrator,
    need_own,
)

SWITCH_OFF = IntegrationBody(enabled=False)


def user_integrations_router(tokens: ServiceTokens) -> APIRouter:
    router = APIRouter(prefix="/api/v1/users/{user_id}", tags=["integrations"])
    person = Depends(acting_person(tokens))

    @router.get("/integrations", openapi_extra=callers("own"))
    async def overrides(user_id: UUID, parts: PartsDep, who: Annotated[Acting, person]) -> Page[IntegrationView]:
        need_own(who, user_id)
        return Page(items=await parts.configs.overrides(user_id))

    @router.get("/integrations/{integration}", openapi_extra=callers("own"))
    async def override(
        user_id: UUID, integration: IntegrationType, parts: PartsDep, who: Annotated[Acting, person]
    ) -> IntegrationView:
        need_own(who, user_id)
        return await parts.configs.get(user_id, integration)

    @router.put("/integrations/{integration}", openapi_extra=callers("own", "administrator"))
    async def put(
        user_id: UUID,
        integration: IntegrationType,
        body: IntegrationBody,
        parts: PartsDep,
        who: Annotated[Acting, person],
    ) -> IntegrationView:
        """A new webhook secret is in this reply only. An administrator may send {"enabled": false} for another person."""
        if who.user_id == user_id:
            return await parts.configs.put(who, integration, body)
        if not is_administrator(who):
            raise NotFound
        if body != SWITCH_OFF:
            raise NotAllowed('An administrator may only switch it off: send {"enabled": false}.')
        return await parts.configs.switch_off(user_id, integration)

    @router.post("/integrations/{integration}/verify", openapi_extra=callers("own"))
    async def verify(
        user_id: UUID, integration: IntegrationType, body: VerifyBody, parts: PartsDep, who: Annotated[Acting, person]
    ) -> IntegrationView:
        """Prove the address with the code that came there. 422 for a wrong one, 409 when none is valid."""
        need_own(who, user_id)
        return await parts.configs.verify(user_id, integration, body.code)

    @router.post("/integrations/{integration}/verify/send", openapi_extra=callers("own"))
    async def send_code(
        user_id: UUID, integration: IntegrationType, parts: PartsDep, who: Annotated[Acting, person]
    ) -> IntegrationView:
        """Send a new code to the address. 409 when there is nothing to verify or nothing could be sent."""
        need_own(who, user_id)
        return await parts.configs.send_code(user_id, integration)

    @router.delete("/integrations/{integration}", status_code=204, openapi_extra=callers("own"))
    async def delete(
        user_id: UUID, integration: IntegrationType, parts: PartsDep, who: Annotated[Acting, person]
    ) -> None:
        need_own(who, user_id)
        await parts.configs.delete(user_id, integration)

    @router.get("/integration-defaults", openapi_extra=callers("own"))
    async def effective(
        user_id: UUID, parts: PartsDep, who: Annotated[Acting, person]
    ) -> Page[EffectiveIntegrationView]:
        """What holds for the person, in the order in which `preferred` uses it."""
        need_own(who, user_id)
        return Page(items=await parts.configs.effective(user_id))

    @router.post("/integration-defaults/reset", openapi_extra=callers("own"))
    async def reset(user_id: UUID, parts: PartsDep, who: Annotated[Acting, person]) -> Page[EffectiveIntegrationView]:
        """Forget everything the person has set."""
        need_own(who, user_id)
        return Page(items=await parts.configs.reset(user_id))

    return router


def defaults_router(tokens: ServiceTokens) -> APIRouter:
    router = APIRouter(prefix="/api/v1/integration-defaults", tags=["integrations"])
    person = Depends(acting_person(tokens))
    everybody = callers("own", "other", "operator", "administrator")

    @router.get("", dependencies=[person], openapi_extra=everybody)
    async def defaults(parts: PartsDep) -> Page[IntegrationDefaultView]:
        return Page(items=await parts.configs.defaults())

    @router.get("/{integration}", dependencies=[person], openapi_extra=everybody)
    async def default(integration: IntegrationType, parts: PartsDep) -> IntegrationDefaultView:
        return await parts.configs.default(integration)

    @router.put("/{integration}", openapi_extra=callers("administrator"))
    async def put(
        integration: IntegrationType, body: IntegrationDefaultBody, parts: PartsDep, who: Annotated[Acting, person]
    ) -> IntegrationDefaultView:
        need_administrator(who)
        return await parts.configs.put_default(integration, body, who.user_id)

    @router.delete("/{integration}", status_code=204, openapi_extra=callers("administrator"))
    async def delete(integration: IntegrationType, parts: PartsDep, who: Annotated[Acting, person]) -> None:
        need_administrator(who)
        await parts.configs.delete_default(integration)

    return router
