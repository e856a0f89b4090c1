"""People and their keys."""

from typing import Annotated
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Depends, Response
from shared_models.api import ApiKeyBody, ApiKeyView, NewApiKey, ResolveBody, UserView
from shared_models.enums import CallerKind, Scope, ServiceName
from shared_models.errors import NotAllowed, NotFound
from shared_models.logging import get_logger
from shared_models.schemas import Page

from request_manager.domain.api_keys import new_api_key, split_api_key
from request_manager.domain.callers import EVERY_SCOPE, TOOL_SCOPES, Caller
from request_manager.domain.sign_in import Profile
from request_manager.parts import Parts
from request_manager.routes.dependencies import (
    EVERY_PERSON,
    AccountDep,
    CursorDep,
    LimitDep,
    PartsDep,
    callers,
    id_cursor,
    person_with,
    problems,
    service_of,
)
from request_manager.store import people

MAX_TRIES = 3

router = APIRouter(prefix="/api/v1", tags=["account"])
log = get_logger(__name__)

AnyPersonDep = Annotated[Caller, Depends(person_with(Scope.REQUESTS_READ))]
ServiceDep = Annotated[Caller, Depends(service_of(ServiceName.INTEGRATION_DISPATCHER, ServiceName.AGENT_SERVICE))]


@router.get("/users/me", responses=problems(403), openapi_extra=callers(*EVERY_PERSON))
async def read_me(caller: AnyPersonDep) -> UserView:
    me = caller.me
    return UserView(user_id=me.user_id, email=me.email, name=me.name, role=caller.role)


@router.post("/users/resolve", responses=problems(400, 403, 404, 422), openapi_extra=callers("service"))
async def resolve_user(body: ResolveBody, caller: ServiceDep, parts: PartsDep) -> UserView:
    """The person behind an external id; by a verified e-mail address also one who was never seen before."""
    found = await people.identified(parts.database, body.integration.value, body.external_id)
    if found is None and body.email:
        profile = Profile(body.integration.value, body.external_id, body.email.lower(), body.name, None)
        found = await people.sign_in(parts.database, profile, is_exclusive=False)
    if found is None:
        raise NotFound("Nobody is known by this id.")
    return found


@router.get("/api-keys", responses=problems(403, 422), openapi_extra=callers(*EVERY_PERSON))
async def list_api_keys(
    caller: AccountDep, parts: PartsDep, cursor: CursorDep = "", limit: LimitDep = 20
) -> Page[ApiKeyView]:
    """Your keys; for administrators also every tool's."""
    before = id_cursor(cursor)
    with_tools = caller.is_administrator
    rows = await people.keys(parts.database, caller.me.user_id, with_tools=with_tools, before=before, limit=limit + 1)
    return Page(items=rows[:limit], next_cursor=rows[limit - 1].key_id.hex if len(rows) > limit else None)


@router.post("/api-keys", status_code=201, responses=problems(400, 403, 422), openapi_extra=callers(*EVERY_PERSON))
async def create_api_key(body: ApiKeyBody, caller: AccountDep, parts: PartsDep) -> NewApiKey:
    """Make a key. It is shown this once. Tool keys are made by administrators."""
    if body.kind is CallerKind.TOOL and not caller.is_administrator:
        raise NotAllowed("Only administrators make tool keys.")
    scopes = frozenset(body.scopes) if body.scopes else _default_scopes(body, caller)
    if body.kind is CallerKind.PERSON and not scopes <= caller.scopes:
        raise NotAllowed("A key cannot have more scopes than the one it is made with.")
    key, view = await _add(parts, body, caller.me.user_id, scopes)
    log.info("api_key_created", key_id=str(view.key_id), kind=view.kind.value, by=str(caller.me.user_id))
    return NewApiKey(**view.model_dump(), api_key=key)


@router.delete(
    "/api-keys/{key_id}",
    status_code=204,
    responses=problems(403, 404, 422),
    openapi_extra=callers("own", "administrator"),
)
async def revoke_api_key(key_id: UUID, caller: AccountDep, parts: PartsDep) -> Response:
    """From now on the key is refused; by other replicas within 30 seconds."""
    me = caller.me.user_id
    if not await people.revoke_key(parts.database, key_id, me, any_owner=caller.is_administrator):
        raise NotFound
    parts.authenticator.forget_key(key_id)
    log.info("api_key_revoked", key_id=str(key_id), by=str(me))
    return Response(status_code=204)


def _default_scopes(body: ApiKeyBody, caller: Caller) -> frozenset[Scope]:
    return TOOL_SCOPES if body.kind is CallerKind.TOOL else caller.scopes & EVERY_SCOPE


async def _add(parts: Parts, body: ApiKeyBody, user_id: UUID, scopes: frozenset[Scope]) -> tuple[str, ApiKeyView]:
    """Two keys may begin alike by chance: then another one is made."""
    for tries_left in reversed(range(MAX_TRIES)):
        key = new_api_key()
        split = split_api_key(key)
        assert split is not None
        acts_for = None if body.acts_for == "everyone" else [*body.acts_for]
        new = people.NewKey(split, user_id, CallerKind(body.kind), body.name, scopes, acts_for, body.expires_in_days)
        try:
            return key, await people.add_key(parts.database, new)
        except asyncpg.UniqueViolationError:
            if not tries_left:
                raise
    raise AssertionError("unreachable")
