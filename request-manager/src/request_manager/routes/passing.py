"""Passing a person's call on to integration-dispatcher: the person is verified here and named in the token."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Path, Response
from pydantic import BaseModel
from shared_models.enums import ServiceName
from shared_models.errors import NotFound, ServiceError, UpstreamRejected

from request_manager.domain.callers import Caller
from request_manager.parts import Parts

JSON = "application/json"

WhoDep = Annotated[UUID | Literal["me"], Path(description="a user id, or me")]


def user_path(caller: Caller, user_id: UUID | str, *, others: bool = False) -> str:
    """The path of the caller; of another person if the caller may look after `others`. Raises NotFound."""
    me = caller.me.user_id
    if user_id not in ("me", me) and not others:
        raise NotFound
    return f"/api/v1/users/{me if user_id == 'me' else user_id}"


def page_params(cursor: str, limit: int) -> dict[str, str | int]:
    return {"cursor": cursor, "limit": limit} if cursor else {"limit": limit}


async def pass_on(
    parts: Parts,
    caller: Caller,
    method: str,
    path: str,
    *,
    body: BaseModel | None = None,
    params: dict[str, str | int] | None = None,
) -> Response:
    """The dispatcher's reply as it stands; its refusal in its own words."""
    token = parts.tokens.make(ServiceName.INTEGRATION_DISPATCHER, caller.acting)
    content = body.model_dump_json(exclude_unset=True).encode() if body is not None else None
    try:
        reply = await parts.dispatcher.forward(method, path, token=token, body=content, params=params or {})
    except UpstreamRejected as exc:
        raise refused(exc) from exc
    return Response(reply.content, reply.status_code, media_type=JSON if reply.content else None)


def refused(error: UpstreamRejected) -> ServiceError:
    """A neighbour's refusal as the person's own error. What it says of our token is our fault, not the person's."""
    refusal = error.refusal
    if refusal.status == 401 or not 400 <= refusal.status < 500:
        return error
    passed_on = ServiceError(refusal.message, hint=refusal.hint)
    passed_on.status, passed_on.code = refusal.status, refusal.code or f"http_{refusal.status}"
    passed_on.title = refusal.message or "The call was refused."
    return passed_on
