"""Lets only calls with a valid identity token through to the MCP endpoint.

The token is issued for this server and for one tool; agent-service signs a new one per call. Whoever is refused gets
the same 401, never a hint which check failed. Sources: RFC 6750; RFC 8707; MCP, authorization."""

from typing import Any

import orjson
from shared_models.logging import get_logger
from shared_models.tokens import Identity, IdentityVerifier, InvalidToken
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

IDENTITY_KEY = "servicenow_mcp.identity"
MAX_TOKEN_LENGTH = 8192

log = get_logger(__name__)


class IdentityGate:
    """ASGI app in front of the MCP endpoint: checks the token of every request, whatever its method."""

    def __init__(self, app: ASGIApp, verifier: IdentityVerifier) -> None:
        self.app = app
        self.verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            identity = self.verifier.verify(bearer_token(Headers(scope=scope)))
            body = await _read(receive)
            if any(name != identity.tool for name in called_tools(body)):
                raise InvalidToken("the token is for another tool")
        except InvalidToken as exc:
            log.warning("identity_refused", reason=str(exc))
            await _refusal()(scope, receive, send)
            return
        scope[IDENTITY_KEY] = identity
        await self.app(scope, _replay(body, receive), send)


def identity_of(request: object, tool: str) -> Identity:
    """Return who calls `tool` in this request. Raises InvalidToken when that did not pass the gate."""
    identity = request.scope.get(IDENTITY_KEY) if isinstance(request, Request) else None
    if not isinstance(identity, Identity):
        raise InvalidToken("the request did not come through the gate")
    if identity.tool != tool:
        raise InvalidToken("the token is for another tool")
    return identity


def bearer_token(headers: Headers) -> str:
    """Return the token of the one Authorization header. Raises InvalidToken."""
    given = headers.getlist("authorization")
    if len(given) != 1:
        raise InvalidToken(f"{len(given)} Authorization headers")
    scheme, _, token = given[0].partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_LENGTH:
        raise InvalidToken("no bearer token")
    return token


def called_tools(body: bytes) -> list[str]:
    """Return the names of the tools that a JSON-RPC body calls; a body that cannot be read calls none."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    return [_tool_name(call) for call in (message if isinstance(message, list) else [message]) if _is_tool_call(call)]


def _is_tool_call(message: Any) -> bool:
    return isinstance(message, dict) and message.get("method") == "tools/call"


def _tool_name(message: dict[str, Any]) -> str:
    params = message.get("params")
    return str(params.get("name", "")) if isinstance(params, dict) else ""


def _refusal() -> JSONResponse:
    return JSONResponse({"error": "invalid_token"}, 401, headers={"www-authenticate": 'Bearer error="invalid_token"'})


async def _read(receive: Receive) -> bytes:
    """Return the whole body; its size is limited further out."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read to the app, then whatever comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again
