"""What routes ask for: the parts, and the calling service. People come through request-manager, which names them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import WrapValidator
from shared_models.enums import ServiceName
from shared_models.errors import InvalidRequest, NotFound
from shared_models.schemas import EndRun, NormalizedRequest, Problem
from shared_models.tokens import ServiceCaller
from shared_models.web import service_caller

from agent_service.parts import Parts

CALLERS = {"x-callers": ["service"]}


async def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def request_manager(request: Request) -> ServiceCaller:
    """Request-manager, perhaps on behalf of a person. Raises NotAuthenticated, NotAllowed."""
    return await service_caller(request.app.state.parts.tokens, ServiceName.REQUEST_MANAGER)(request)


PartsDep = Annotated[Parts, Depends(parts_of)]
CallerDep = Annotated[ServiceCaller, Depends(request_manager)]
LimitDep = Annotated[int, Query(ge=1, le=100)]
# From request-manager, which may be of a newer release.
HandedBody = Annotated[NormalizedRequest, WrapValidator(lambda value, _strict: NormalizedRequest.read(value))]
EndRunBody = Annotated[EndRun, WrapValidator(lambda value, _strict: EndRun.read(value))]
CursorDep = Annotated[str, Query(max_length=200)]


def need_own(caller: ServiceCaller, user_id: UUID) -> None:
    """Raises NotFound when the call is made for a person, and the thing is another person's."""
    if caller.acting is not None and caller.acting.user_id != user_id:
        raise NotFound


def bad_cursor() -> InvalidRequest:
    return InvalidRequest("This cursor is not one that was handed out.")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: the errors it may answer with, besides those of every route."""
    return {status: {"model": Problem} for status in sorted({401, 403, 503, *statuses})}
