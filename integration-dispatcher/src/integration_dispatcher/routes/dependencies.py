"""Who calls, and whether the thing is theirs. People come through request-manager, which names them in its token."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from shared_models.enums import Role, ServiceName
from shared_models.errors import NotAllowed, NotFound
from shared_models.tokens import Acting, ServiceTokens
from shared_models.web import service_caller

from integration_dispatcher.parts import Parts, parts_of

type Person = Callable[[Request], Awaitable[Acting]]

PartsDep = Annotated[Parts, Depends(parts_of)]
Limit = Annotated[int, Query(ge=1, le=100)]


def acting_person(tokens: ServiceTokens) -> Person:
    """A dependency: the person on whose behalf request-manager calls. Raises NotAuthenticated, NotAllowed."""
    check = service_caller(tokens, ServiceName.REQUEST_MANAGER)

    async def person(request: Request) -> Acting:
        caller = await check(request)
        if caller.acting is None:
            raise NotAllowed
        return caller.acting

    return person


def is_operator(person: Acting) -> bool:
    return Role.OPERATOR in person.roles or is_administrator(person)


def is_administrator(person: Acting) -> bool:
    return Role.ADMINISTRATOR in person.roles


def need_own(person: Acting, user_id: UUID) -> None:
    """Raises NotFound for another person's things: that they exist is nobody's business."""
    if person.user_id != user_id:
        raise NotFound


def need_own_or_operator(person: Acting, user_id: UUID) -> None:
    if not is_operator(person):
        need_own(person, user_id)


def need_operator(person: Acting) -> None:
    if not is_operator(person):
        raise NotAllowed


def need_administrator(person: Acting) -> None:
    if not is_administrator(person):
        raise NotAllowed


def callers(*words: str) -> dict[str, list[str]]:
    """The route's callers, for `openapi_extra`."""
    return {"x-callers": list(words)}
