"""What was given up, for operators: ids, causes, counts and times, never what a person wrote."""

from typing import Annotated

from fastapi import APIRouter, Query
from shared_models.errors import InvalidRequest
from shared_models.operations import (
    DeadLetterDetail,
    DeadLetterPage,
    DeadLetterQuery,
    Replayed,
    ReplayFilter,
    ReplayResult,
)

from request_manager.routes.dependencies import AccountDep, PartsDep, callers, problems

router = APIRouter(prefix="/api/v1/dead-letters", tags=["dead letters"])

OPERATORS = callers("operator", "administrator")
READ = problems(403, 404, 422, 502)
WRITE = problems(400, 403, 404, 409, 410, 422, 429, 502)


@router.get("", responses=READ, openapi_extra=OPERATORS)
async def list_dead_letters(
    wanted: Annotated[DeadLetterQuery, Query()], caller: AccountDep, parts: PartsDep
) -> DeadLetterPage:
    """Of all services, the newest first. A service that is away is named in `unreachable`."""
    caller.require_operator()
    return await parts.desk.page(wanted)


@router.post("/replay", status_code=202, responses=WRITE, openapi_extra=OPERATORS)
async def replay_dead_letters(wanted: ReplayFilter, caller: AccountDep, parts: PartsDep) -> ReplayResult:
    """The next 100 that fit the filter; go on with `next_cursor`. Each that cannot be replayed is told with its reason."""
    caller.require_operator()
    if wanted.is_empty and not wanted.all:
        raise InvalidRequest("Nothing says which ones.", hint='Name at least one condition, or "all": true.')
    return await parts.desk.replay_all(wanted, caller)


@router.get("/{letter_id}", responses=READ, openapi_extra=OPERATORS)
async def read_dead_letter(letter_id: str, caller: AccountDep, parts: PartsDep) -> DeadLetterDetail:
    caller.require_operator()
    return await parts.desk.read(letter_id)


@router.post("/{letter_id}/replay", status_code=202, responses=WRITE, openapi_extra=OPERATORS)
async def replay_dead_letter(letter_id: str, caller: AccountDep, parts: PartsDep) -> Replayed:
    """Do it again. A request that has ended stays ended: its question is asked again, in `request_id`."""
    caller.require_operator()
    return await parts.desk.replay(letter_id, caller)


@router.delete("/{letter_id}", status_code=204, responses=READ, openapi_extra=OPERATORS)
async def discard_dead_letter(letter_id: str, caller: AccountDep, parts: PartsDep) -> None:
    """Forget it, when nothing needs to be done any more."""
    caller.require_operator()
    await parts.desk.discard(letter_id, caller)
