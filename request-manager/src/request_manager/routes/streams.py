"""The stream of a request."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from shared_models.errors import Gone

from request_manager.routes.access import own_result
from request_manager.routes.dependencies import PartsDep, ReaderDep, callers, problems
from request_manager.streams import END_ID

router = APIRouter(prefix="/api/v1/requests", tags=["requests"])


@router.get(
    "/{request_id}/events",
    response_model=None,
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events: status, delta, tool, confirm, reset; last of all answer or error, with the result",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "Everything was sent before"},
        **problems(403, 404, 410, 422, 429),
    },
    openapi_extra=callers("own", "tool"),
)
async def stream_events(
    request_id: UUID,
    caller: ReaderDep,
    parts: PartsDep,
    last_event_id: Annotated[str, Header(max_length=100, description="resume after this event")] = "",
) -> Response:
    stored = await own_result(parts, caller, request_id)
    if stored.purged_at is not None:
        raise Gone
    if last_event_id == END_ID:
        return Response(status_code=204)
    parts.streams.check(caller.id)
    return StreamingResponse(parts.streams.events(stored, last_event_id, caller.id), media_type="text/event-stream")
