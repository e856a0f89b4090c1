"""A small real MCP server on a socket, that checks identity tokens and remembers who called."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from mcp.server.mcpserver import MCPServer
from shared_models.tokens import Identity, IdentityVerifier, InvalidToken
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.support.servers import free_socket, serving

NAME = "tiny"


@dataclass
class Seen:
    """One HTTP request: the JSON-RPC method, the verified caller, its token, the peer's port, all headers."""

    method: str
    identity: Identity
    token: str
    peer: int
    headers: dict[str, str]


@dataclass
class TinyServer:
    """`seen` is what arrived. `before` may answer a request instead of the MCP server: return (status, body)."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    before: Callable[[dict[str, Any]], Awaitable[tuple[int, bytes] | None]] | None = None

    def calls(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == "tools/call"]


class Gate:
    """In front of the MCP endpoint, as every MCP server of ours has one."""

    def __init__(self, app: ASGIApp, tiny: TinyServer, public_key: str) -> None:
        self._app = app
        self._tiny = tiny
        self._verifier = IdentityVerifier(public_key, server=NAME)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        token = headers.get("authorization", "").removeprefix("Bearer ")
        body = await _whole(receive)
        message = orjson.loads(body) if body else {}
        try:
            identity = self._verifier.verify(token)
        except InvalidToken:
            await _answer(send, 401, b'{"error": "invalid_token"}')
            return
        self._tiny.seen.append(Seen(message.get("method", ""), identity, token, scope["client"][1], headers))
        instead = await self._tiny.before(message) if self._tiny.before else None
        if instead is not None:
            await _answer(send, *instead)
            return
        parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return parts.pop() if parts else await receive()

        await self._app(scope, again, send)


async def _whole(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def tiny_server(
    server: MCPServer[Any], public_key: str, *, json_response: bool = True, stateless: bool = True
) -> AsyncIterator[TinyServer]:
    sock, url = free_socket()
    tiny = TinyServer(f"{url}/mcp")
    app = server.streamable_http_app(json_response=json_response, stateless_http=stateless, host="")
    async with serving(Gate(app, tiny, public_key), sock):
        yield tiny
