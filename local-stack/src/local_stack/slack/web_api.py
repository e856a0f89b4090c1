"""The Web API: who calls, with which scopes and limits, what the arguments are, and the list of methods.

Source: https://docs.slack.dev/apis/web-api"""

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local_stack.slack import methods_chat, methods_others, methods_rooms
from local_stack.slack.call import Call
from local_stack.slack.errors import RateLimited, Refused
from local_stack.slack.limits import POSTS_PER_MINUTE, SPECIAL_PER_MINUTE, TIERS
from local_stack.slack.records import Json
from local_stack.slack.standin import ApiCall, Standin

SECRET_ARGUMENTS = ("token",)


@dataclass(frozen=True)
class Method:
    """`scopes`: any one of them is enough. `per_minute`: calls of the app in this workspace."""

    run: Callable[[Call], Awaitable[Json]]
    per_minute: int
    scopes: tuple[str, ...] = ()
    is_post: bool = False
    needs_app_token: bool = False


TIER_1, TIER_2, TIER_3, TIER_4 = TIERS.values()
READS_HISTORY = ("channels:history", "groups:history", "im:history")
READS_ROOMS = ("channels:read", "groups:read", "im:read")

METHODS: dict[str, Method] = {
    "api.test": Method(methods_others.api_test, TIER_4),
    "auth.test": Method(methods_others.auth_test, SPECIAL_PER_MINUTE),
    "apps.connections.open": Method(methods_others.connections_open, TIER_1, needs_app_token=True),
    "users.info": Method(methods_rooms.users_info, TIER_4, ("users:read",)),
    "users.lookupByEmail": Method(methods_rooms.users_lookup_by_email, TIER_3, ("users:read.email",)),
    "conversations.open": Method(methods_rooms.conversations_open, TIER_3, ("im:write",)),
    "conversations.info": Method(methods_rooms.conversations_info, TIER_3, READS_ROOMS),
    "conversations.history": Method(methods_rooms.conversations_history, TIER_3, READS_HISTORY),
    "conversations.replies": Method(methods_rooms.conversations_replies, TIER_3, READS_HISTORY),
    "chat.postMessage": Method(methods_chat.post_message, POSTS_PER_MINUTE, ("chat:write",), is_post=True),
    "chat.postEphemeral": Method(methods_chat.post_ephemeral, TIER_4, ("chat:write",)),
    "chat.update": Method(methods_chat.update, TIER_3, ("chat:write",)),
    "chat.delete": Method(methods_chat.delete, TIER_3, ("chat:write",)),
    "chat.getPermalink": Method(methods_chat.get_permalink, SPECIAL_PER_MINUTE),
    "reactions.add": Method(methods_others.reactions_add, TIER_3, ("reactions:write",)),
    "reactions.remove": Method(methods_others.reactions_remove, TIER_2, ("reactions:write",)),
    "views.open": Method(methods_others.views_open, TIER_4),
    "views.push": Method(methods_others.views_push, TIER_4),
    "views.update": Method(methods_others.views_update, TIER_4),
    "assistant.threads.setStatus": Method(methods_others.thread_status, TIER_3, ("assistant:write", "chat:write")),
    "agents.sessions.setStatus": Method(methods_others.session_status, TIER_3, ("assistant:write", "chat:write")),
}


async def answer(standin: Standin, name: str, request: Request) -> Response:
    """One call, from the raw request to what Slack would answer."""
    arguments: Json = {}
    headers: dict[str, str] = {}
    try:
        arguments = await _arguments(request)
        token = _token(request, arguments)
        body = await _run(standin, name, arguments, token)
        error, status = "", HTTPStatus.OK
    except Refused as refused:
        body, error, status = refused.body(), refused.code, HTTPStatus.OK
    except RateLimited as limited:
        error, status = "ratelimited", HTTPStatus.TOO_MANY_REQUESTS
        body, headers["retry-after"] = {"ok": False, "error": error}, str(limited.retry_after_s)
    kept = {key: value for key, value in arguments.items() if key not in SECRET_ARGUMENTS}
    standin.calls.append(ApiCall(name, kept, error, standin.now()))
    if error not in ("not_authed", "invalid_auth"):
        headers["x-oauth-scopes"] = standin.settings.scopes
    return JSONResponse(body, status, headers=headers)


async def _run(standin: Standin, name: str, arguments: Json, token: str) -> Json:
    method = METHODS.get(name)
    if method is None:
        raise Refused("unknown_method", req_method=name)
    if name != "api.test":
        _check_token(standin, method, token)
    _check_scopes(standin, method)
    call = Call(standin, name, arguments)
    channel = ""
    if method.is_post:
        channel = call.channel().id
    standin.limits.take(name, method.per_minute, channel)
    return {"ok": True} | await method.run(call)


def _check_token(standin: Standin, method: Method, token: str) -> None:
    bot, app = standin.settings.bot_token, standin.settings.app_token
    if not token:
        raise Refused("not_authed")
    right, other = (app, bot) if method.needs_app_token else (bot, app)
    if not _is(token, right):
        raise Refused("not_allowed_token_type" if _is(token, other) else "invalid_auth")


def _check_scopes(standin: Standin, method: Method) -> None:
    granted = standin.settings.scopes.split(",")
    if method.scopes and not any(scope in granted for scope in method.scopes):
        raise Refused("missing_scope", needed=method.scopes[0], provided=standin.settings.scopes)


def _is(given: str, secret: SecretStr) -> bool:
    wanted = secret.get_secret_value()
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())


def _token(request: Request, arguments: Json) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else str(arguments.get("token", ""))


async def _arguments(request: Request) -> Json:
    """Of the query and of a form or JSON body. Raises Refused for a body that is neither."""
    query: dict[str, Any] = dict(request.query_params)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return query | _json_object(await request.body())
    if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return query | {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    if await request.body():
        raise Refused("invalid_post_type")
    return query


def _json_object(body: bytes) -> Json:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        raise Refused("invalid_json") from None
    if not isinstance(found, dict):
        raise Refused("json_not_object")
    return found
