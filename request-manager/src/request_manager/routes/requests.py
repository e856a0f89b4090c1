"""Asking: one route per entry, and asking again."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Response
from shared_models.api import (
    CliRequest,
    EmailRequest,
    GenericRequest,
    RequestAccepted,
    RequestBody,
    SlackRequest,
    ToolRequest,
    WebRequest,
)
from shared_models.enums import CallerKind, ServiceName
from shared_models.errors import Conflict, Gone, NotAllowed
from shared_models.ids import new_id
from shared_models.schemas import RequestResult

from request_manager.domain.callers import Caller
from request_manager.domain.normalizer import Arrival, IncomingRequest, normalize
from request_manager.domain.preferences import Preference, read_idempotency_key, read_prefer
from request_manager.domain.results import StoredResult, accepted_bytes, result_bytes
from request_manager.domain.retry import again
from request_manager.parts import Parts
from request_manager.processor import Accepted
from request_manager.routes.access import own_request
from request_manager.routes.dependencies import (
    EVERY_PERSON,
    PartsDep,
    PersonWriterDep,
    WriterDep,
    callers,
    problems,
    service_of,
)

RETRY_AFTER_S = "2"
JSON = "application/json"

router = APIRouter(prefix="/api/v1/requests", tags=["requests"])

PreferHeader = Annotated[str, Header(description="respond-async, wait=N (seconds, at most 120)")]
KeyHeader = Annotated[str | None, Header(description="1 to 255 printable ASCII characters, unique per caller for 24 h")]
DispatcherDep = Annotated[Caller, Depends(service_of(ServiceName.INTEGRATION_DISPATCHER))]

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": RequestResult, "description": "The request has ended: the whole result"},
    202: {"model": RequestAccepted, "description": "Accepted; the result follows at Location"},
    **problems(400, 403, 404, 409, 422, 429),
}


@router.post("/web", response_model=None, responses=ANSWERS, openapi_extra=callers(*EVERY_PERSON))
async def create_web_request(
    body: WebRequest,
    caller: PersonWriterDep,
    parts: PartsDep,
    prefer: PreferHeader = "",
    idempotency_key: KeyHeader = None,
) -> Response:
    return await _ask(parts, caller, body, caller.me.user_id, (prefer, idempotency_key))


@router.post("/cli", response_model=None, responses=ANSWERS, openapi_extra=callers(*EVERY_PERSON))
async def create_cli_request(
    body: CliRequest,
    caller: PersonWriterDep,
    parts: PartsDep,
    prefer: PreferHeader = "",
    idempotency_key: KeyHeader = None,
) -> Response:
    return await _ask(parts, caller, body, caller.me.user_id, (prefer, idempotency_key))


@router.post("/generic", response_model=None, responses=ANSWERS, openapi_extra=callers(*EVERY_PERSON))
async def create_generic_request(
    body: GenericRequest,
    caller: PersonWriterDep,
    parts: PartsDep,
    prefer: PreferHeader = "",
    idempotency_key: KeyHeader = None,
) -> Response:
    return await _ask(parts, caller, body, caller.me.user_id, (prefer, idempotency_key))


@router.post("/tool", response_model=None, responses=ANSWERS, openapi_extra=callers("tool"))
async def create_tool_request(
    body: ToolRequest,
    caller: WriterDep,
    parts: PartsDep,
    prefer: PreferHeader = "",
    idempotency_key: KeyHeader = None,
) -> Response:
    if caller.kind is not CallerKind.TOOL:
        raise NotAllowed("This is for systems with a tool key.")
    caller.require_acting_for(body.user_id)
    return await _ask(parts, caller, body, body.user_id, (prefer, idempotency_key))


@router.post("/slack", response_model=None, responses=ANSWERS, openapi_extra=callers("service"))
async def create_slack_request(
    body: SlackRequest,
    caller: DispatcherDep,
    parts: PartsDep,
    prefer: PreferHeader = "",
    idempotency_key: KeyHeader = None,
) -> Response:
    return await _ask(parts, caller, body, body.user_id, (prefer, idempotency_key))


@router.post("/email", response_model=None, responses=ANSWERS, openapi_extra=callers("service"))
async def create_email_request(
    body: EmailRequest,
    caller: DispatcherDep,
    parts: PartsDep,
    prefer: PreferHeader = "",
    idempotency_key: KeyHeader = None,
) -> Response:
    return await _ask(parts, caller, body, body.user_id, (prefer, idempotency_key))


@router.post(
    "/{request_id}/retry",
    response_model=None,
    responses=ANSWERS | problems(410),
    openapi_extra=callers("own", "tool"),
)
async def retry_request(
    request_id: UUID,
    caller: WriterDep,
    parts: PartsDep,
    prefer: PreferHeader = "",
    idempotency_key: KeyHeader = None,
) -> Response:
    """Ask the question of an ended request again, as a new request of the same conversation."""
    stored = await own_request(parts, caller, request_id)
    if stored.result.ended_at is None:
        raise Conflict("The request has not ended yet.", hint="Wait for its end, or cancel it.")
    if stored.result.purged_at is not None:
        raise Gone
    arrival = _arrival(parts, caller, stored.result.user_id, idempotency_key)
    return await _accept(parts, again(stored, arrival), prefer)


async def _ask(
    parts: Parts, caller: Caller, body: RequestBody, user_id: UUID, headers: tuple[str, str | None]
) -> Response:
    prefer, idempotency_key = headers
    return await _accept(parts, normalize(body, _arrival(parts, caller, user_id, idempotency_key)), prefer)


def _arrival(parts: Parts, caller: Caller, user_id: UUID, idempotency_key: str | None) -> Arrival:
    now = parts.processor.now()
    return Arrival(
        request_id=new_id(),
        caller=caller,
        user_id=user_id,
        created_at=now,
        deadline_at=now + parts.processor.limits.deadline,
        idempotency_key=read_idempotency_key(idempotency_key),
    )


async def _accept(parts: Parts, request: IncomingRequest, prefer: str) -> Response:
    settings = parts.settings
    preference = read_prefer(prefer, default_s=settings.sync_wait_s, max_s=settings.max_wait_s)
    accepted, result = await parts.processor.accept_and_wait(request, preference.wait_s)
    return _reply(accepted, result, preference)


def _reply(accepted: Accepted, result: StoredResult | None, preference: Preference) -> Response:
    headers = {**accepted.headers, "location": f"/api/v1/requests/{accepted.request_id}/result"}
    if preference.applied:
        headers["preference-applied"] = preference.applied
    if result is not None:
        return Response(result_bytes(result), 200, headers, JSON)
    headers["retry-after"] = RETRY_AFTER_S
    return Response(accepted_bytes(accepted.request_id, accepted.session_id, accepted.status), 202, headers, JSON)
