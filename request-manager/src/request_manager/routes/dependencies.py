"""What routes ask for: the parts, the verified caller with the scope a route needs, and how a page is cut."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request
from shared_models.enums import Scope, ServiceName
from shared_models.errors import InvalidRequest, NotAllowed
from shared_models.schemas import Problem
from shared_models.web import bearer

from request_manager.domain.callers import Caller
from request_manager.parts import Parts

EVERY_PERSON = ["own", "other", "operator", "administrator"]
OWN_OR_OPERATOR = ["own", "operator", "administrator"]


async def parts_of(request: Request) -> Parts:
    """Async, because FastAPI runs other dependencies in a thread, at a third of a millisecond each."""
    parts: Parts = request.app.state.parts
    return parts


async def verified_caller(request: Request) -> Caller:
    """The caller by `Authorization: Bearer` or `x-api-key`. Raises NotAuthenticated."""
    credential = bearer(request) or request.headers.get("x-api-key", "")
    parts = await parts_of(request)
    return await parts.authenticator.caller(credential)


def caller_with(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency for the caller, whose key must have the scope. Raises NotAuthenticated, NotAllowed."""

    async def check(request: Request) -> Caller:
        caller = await verified_caller(request)
        caller.require(scope)
        return caller

    return check


def person_with(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """As `caller_with`, for people only."""

    async def check(request: Request) -> Caller:
        caller = await verified_caller(request)
        caller.require(scope)
        _ = caller.me
        return caller

    return check


def service_of(*allowed: ServiceName) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that lets in the named services. Raises NotAuthenticated, NotAllowed."""

    async def check(request: Request) -> Caller:
        caller = await verified_caller(request)
        if caller.service not in allowed:
            raise NotAllowed
        return caller

    return check


PartsDep = Annotated[Parts, Depends(parts_of)]
ReaderDep = Annotated[Caller, Depends(caller_with(Scope.REQUESTS_READ))]
WriterDep = Annotated[Caller, Depends(caller_with(Scope.REQUESTS_WRITE))]
PersonReaderDep = Annotated[Caller, Depends(person_with(Scope.REQUESTS_READ))]
PersonWriterDep = Annotated[Caller, Depends(person_with(Scope.REQUESTS_WRITE))]
SessionsDep = Annotated[Caller, Depends(person_with(Scope.SESSIONS))]
AccountDep = Annotated[Caller, Depends(person_with(Scope.ACCOUNT))]

LimitDep = Annotated[int, Query(ge=1, le=100)]
WaitDep = Annotated[int, Query(ge=0, le=120, description="seconds to wait for the end")]
CursorDep = Annotated[str, Query(max_length=200)]


def id_cursor(cursor: str) -> UUID | None:
    """The id after which a page begins. Raises InvalidRequest for what was never handed out."""
    if not cursor:
        return None
    try:
        return UUID(hex=cursor)
    except ValueError as exc:
        raise InvalidRequest("This cursor is not one that was handed out.") from exc


def callers(*names: str, **more: Any) -> dict[str, Any]:
    """`openapi_extra` of a route: who may call it."""
    return {"x-callers": list(names), **more}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: the errors it may answer with, besides 401, 413 and 503."""
    return {status: {"model": Problem, "description": _TITLES[status]} for status in sorted({401, 413, 503, *statuses})}


_TITLES = {
    400: "The body is no JSON",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not there, or not yours",
    409: "Does not fit the present state",
    410: "Removed after its retention time",
    413: "The body is too large",
    422: "Not valid",
    429: "Too many requests",
    502: "A part of the system refused the call",
    503: "Not possible right now; nothing was stored",
}
