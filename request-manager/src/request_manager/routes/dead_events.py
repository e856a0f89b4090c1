"""The dead-letter sink of every Trigger."""

from fastapi import APIRouter, Request, Response
from shared_models.event_endpoint import EMPTY_REPLIES
from shared_models.web import DEAD_LETTERS_PATH

from request_manager.routes.dependencies import PartsDep, callers

router = APIRouter(tags=["events"])


@router.post(
    DEAD_LETTERS_PATH,
    status_code=202,
    response_class=Response,
    responses=EMPTY_REPLIES,
    openapi_extra=callers("broker"),
)
async def take_dead_event(request: Request, parts: PartsDep) -> Response:
    """A CloudEvent that the broker could not deliver, with its extensions knativeerrordest, -code and -data."""
    return await parts.dead_event_endpoint.answer(request)
