"""Reading requests: lists, state, result, and what people do with them afterwards."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from shared_models.api import (
    FeedbackBody,
    FeedbackView,
    RequestAccepted,
    RequestDetail,
    RequestItem,
    RequestState,
)
from shared_models.enums import RequestStatus
from shared_models.errors import Gone, NotFound
from shared_models.schemas import Page, RequestResult
from shared_models.telemetry import FEEDBACK

from request_manager.domain.callers import Caller
from request_manager.domain.ends import EndReason
from request_manager.domain.results import StoredResult, accepted_bytes, detail_of, result_bytes, state_of
from request_manager.parts import Parts
from request_manager.routes.access import own_request, own_result, visible_result
from request_manager.routes.dependencies import (
    EVERY_PERSON,
    OWN_OR_OPERATOR,
    CursorDep,
    LimitDep,
    PartsDep,
    PersonReaderDep,
    PersonWriterDep,
    ReaderDep,
    WaitDep,
    WriterDep,
    callers,
    id_cursor,
    problems,
)
from request_manager.store import requests as store

CANCEL_WAIT_S = 5.0
JSON = "application/json"
RUNNING: dict[str, Any] = {"description": "Not ended yet"}

router = APIRouter(prefix="/api/v1/requests", tags=["requests"])


@router.get("", responses=problems(403, 404, 422), openapi_extra=callers(*EVERY_PERSON))
async def list_requests(
    caller: PersonReaderDep,
    parts: PartsDep,
    user_id: Annotated[UUID | None, Query(description="operators: only this person's")] = None,
    session_id: UUID | None = None,
    status: RequestStatus | None = None,
    cursor: CursorDep = "",
    limit: LimitDep = 20,
) -> Page[RequestItem]:
    """Your own requests, the newest first; for operators everybody's, those of others without their words."""
    me = caller.me.user_id
    if user_id is not None and user_id != me and not caller.is_operator:
        raise NotFound
    wanted = store.Filter(user_id if caller.is_operator else me, session_id, status)
    rows = await store.items(parts.database, wanted, before=id_cursor(cursor), limit=limit + 1)
    items = [item if item.user_id == me else item.model_copy(update={"excerpt": None}) for item in rows[:limit]]
    return Page(items=items, next_cursor=items[-1].request_id.hex if len(rows) > limit else None)


@router.get("/{request_id}", responses=problems(403, 404, 422), openapi_extra=callers(*OWN_OR_OPERATOR, "tool"))
async def read_request(request_id: UUID, caller: ReaderDep, parts: PartsDep, wait: WaitDep = 0) -> RequestDetail:
    """A request with question and result; an operator sees another person's without the words."""
    await _wait(parts, await visible_result(parts, caller, request_id), wait)
    stored = await store.request(parts.database, request_id)
    if stored is None:
        raise NotFound
    is_own = caller.owns(stored.result.user_id, stored.caller)
    detail = detail_of(stored, with_content=is_own)
    feedback = await store.latest_feedback(parts.database, request_id) if is_own else None
    return detail.model_copy(update={"feedback": feedback})


@router.get("/{request_id}/status", responses=problems(403, 404, 422), openapi_extra=callers(*OWN_OR_OPERATOR, "tool"))
async def read_status(request_id: UUID, caller: ReaderDep, parts: PartsDep, wait: WaitDep = 0) -> RequestState:
    return state_of(await _wait(parts, await visible_result(parts, caller, request_id), wait))


@router.get(
    "/{request_id}/result",
    response_model=None,
    responses={
        200: {"model": RequestResult, "description": "The result"},
        202: {"model": RequestAccepted, **RUNNING},
        **problems(403, 404, 410, 422),
    },
    openapi_extra=callers("own", "tool"),
)
async def read_result(request_id: UUID, caller: ReaderDep, parts: PartsDep, wait: WaitDep = 0) -> Response:
    """The same bytes as the reply to a caller who waited."""
    result = await _wait(parts, await own_result(parts, caller, request_id), wait)
    if result.ended_at is None:
        body = accepted_bytes(result.request_id, result.session_id, result.status)
        return Response(body, 202, {"retry-after": "2"}, JSON)
    if result.purged_at is not None:
        raise Gone
    return Response(result_bytes(result), 200, media_type=JSON)


@router.post(
    "/{request_id}/cancel",
    responses={202: {"model": RequestState, **RUNNING}, **problems(403, 404, 422)},
    openapi_extra=callers(*OWN_OR_OPERATOR, "tool"),
)
async def cancel_request(request_id: UUID, caller: WriterDep, parts: PartsDep, response: Response) -> RequestState:
    """Ask for an end. 200: the state it came to, which may be another end that was first; 202: it is under way."""
    result = await visible_result(parts, caller, request_id)
    if result.ended_at is None:
        result = await _cancel(parts, caller, result)
    response.status_code = 200 if result.ended_at is not None else 202
    return state_of(result)


async def _cancel(parts: Parts, caller: Caller, result: StoredResult) -> StoredResult:
    with parts.waiting.watch(result.request_id) as waiter:
        await parts.ends.ask(result.request_id, EndReason.CANCELLED)
        ended = await parts.waiting.within(waiter, CANCEL_WAIT_S)
    return ended or await visible_result(parts, caller, result.request_id)


@router.post("/{request_id}/feedback", responses=problems(400, 403, 404, 422), openapi_extra=callers("own"))
async def give_feedback(request_id: UUID, body: FeedbackBody, caller: PersonWriterDep, parts: PartsDep) -> FeedbackView:
    """The latest counts; earlier ones are kept."""
    await own_request(parts, caller, request_id)
    FEEDBACK.labels(body.rating).inc()
    return await store.give_feedback(parts.database, request_id, caller.me.user_id, body)


async def _wait(parts: Parts, result: StoredResult, wait_s: int) -> StoredResult:
    """The same or the ended request, at the latest after `wait_s`."""
    if result.ended_at is not None or wait_s == 0:
        return result
    ended = await parts.processor.wait(result.request_id, wait_s)
    return ended or await store.result(parts.database, result.request_id) or result
