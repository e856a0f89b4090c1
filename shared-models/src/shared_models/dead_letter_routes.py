"""The dead letters of one service over HTTP, for request-manager, which gathers those of all services for the operators."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from shared_models.dead_letter_box import DeadLetterBox
from shared_models.operations import DeadLetterDetail, DeadLetterPage, OneMoreQuery, Place
from shared_models.schemas import Problem

CALLERS = {"x-callers": ["service"]}
PROBLEMS: dict[int | str, dict[str, Any]] = {status: {"model": Problem} for status in (401, 403, 404, 409, 410, 503)}


def dead_letter_router(
    box_of: Callable[[Request], DeadLetterBox], allowed: Callable[[Request], Awaitable[object]]
) -> APIRouter:
    """`allowed` refuses whoever is not request-manager. Raises what the box raises."""
    router = APIRouter(prefix="/api/v1/dead-letters", tags=["dead letters"], dependencies=[Depends(allowed)])

    @router.get("", responses=PROBLEMS, openapi_extra=CALLERS)
    async def list_dead_letters(wanted: Annotated[OneMoreQuery, Query()], request: Request) -> DeadLetterPage:
        letters = await box_of(request).page(wanted, Place.read(wanted.cursor), wanted.limit)
        return DeadLetterPage(items=letters)

    @router.get("/{letter_id}", responses=PROBLEMS, openapi_extra=CALLERS)
    async def read_dead_letter(letter_id: str, request: Request) -> DeadLetterDetail:
        return await box_of(request).read(letter_id)

    @router.post(
        "/{letter_id}/replay", status_code=202, response_class=Response, responses=PROBLEMS, openapi_extra=CALLERS
    )
    async def replay_dead_letter(letter_id: str, request: Request) -> Response:
        await box_of(request).replay(letter_id)
        return Response(status_code=202)

    @router.delete("/{letter_id}", status_code=204, responses=PROBLEMS, openapi_extra=CALLERS)
    async def discard_dead_letter(letter_id: str, request: Request) -> None:
        await box_of(request).discard(letter_id)

    return router
