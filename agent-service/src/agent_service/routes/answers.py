"""Direct mode: request-manager hands a request over and gets its answer in the same call, or asks again."""

from fastapi import APIRouter, Request, Response
from shared_models.schemas import AgentResponse
from shared_models.telemetry import span

from agent_service.routes.dependencies import CALLERS, CallerDep, HandedBody, PartsDep, problems

router = APIRouter(tags=["answers"])


@router.post(
    "/api/v1/answers",
    response_model=AgentResponse,
    responses={202: {"description": "Not ended yet: ask again with the same body"}, **problems(404, 413, 422)},
    openapi_extra=CALLERS,
)
async def answer(body: HandedBody, request: Request, parts: PartsDep, _caller: CallerDep) -> Response:
    """Answer a request, once: a repeat finds the same run. 200 with how it ended, or 202 after 25 s."""
    with span("answer"):
        ended = await parts.processor.answer(body, await request.body())
    if ended is None:
        return Response(status_code=202)
    return Response(ended, media_type="application/json")
