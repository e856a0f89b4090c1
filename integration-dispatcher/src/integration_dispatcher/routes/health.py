"""The accounts of integrations at their providers, for operators."""

from typing import Annotated

from fastapi import APIRouter, Depends
from shared_models.enums import IntegrationType
from shared_models.integrations import IntegrationHealthView
from shared_models.schemas import Page
from shared_models.tokens import Acting, ServiceTokens

from integration_dispatcher.routes.dependencies import PartsDep, acting_person, callers, need_operator


def integration_health_router(tokens: ServiceTokens) -> APIRouter:
    router = APIRouter(prefix="/api/v1/integration-health", tags=["integrations"])
    person = Depends(acting_person(tokens))
    operators = callers("operator", "administrator")

    @router.get("", openapi_extra=operators)
    async def health(parts: PartsDep, who: Annotated[Acting, person]) -> Page[IntegrationHealthView]:
        need_operator(who)
        return Page(items=await parts.accounts.health())

    @router.post("/{integration}/resume", openapi_extra=operators)
    async def resume(
        integration: IntegrationType, parts: PartsDep, who: Annotated[Acting, person]
    ) -> IntegrationHealthView:
        """The account works again: try what waits now. A refusal pauses it again."""
        need_operator(who)
        return await parts.accounts.resume(integration)

    return router
