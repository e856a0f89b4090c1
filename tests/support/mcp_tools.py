"""A small MCP server with tools of every sort, and agent-service's client of it."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
from agent_service.domain.ports import ToolResult
from agent_service.mcp_client import McpTools
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ImageContent, TextContent, ToolAnnotations
from shared_models.tokens import Identity, IdentitySigner, new_identity_key_pair

from tests.support.mcp_server import NAME

SIGNING_KEY, PUBLIC_KEY = new_identity_key_pair()
ANA = Identity(UUID(int=1), "ana@example.org", "Ana", UUID(int=11), "")
READ = ToolAnnotations(read_only_hint=True)
TIMEOUT_S = 10.0


class Time:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def create_server() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer(NAME)

    @server.tool(annotations=READ)
    async def find(what: str = "it") -> dict[str, str]:
        """Find a thing."""
        return {"found": what}

    @server.tool()
    async def fail() -> str:
        """Never works."""
        raise ToolError("The ticket system is closed for maintenance.")

    @server.tool(structured_output=False)
    async def talk() -> list[TextContent | ImageContent]:
        """Says something and shows something."""
        picture = ImageContent(type="image", data="aGk=", mime_type="image/png")
        return [TextContent(type="text", text="Hello"), picture, TextContent(type="text", text="there")]

    @server.tool(structured_output=False)
    async def much() -> str:
        """Says far too much."""
        return "x" * 60_000

    @server.tool()
    async def sleep() -> str:
        """Never comes back."""
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    return server


def tools_of(http: httpx.AsyncClient, url: str, clock: Time | None = None) -> McpTools:
    return McpTools(http, {NAME: url}, IdentitySigner(SIGNING_KEY), clock=clock or Time())


async def call(tools: McpTools, tool: str, arguments: dict[str, Any] | None = None, who: Identity = ANA) -> ToolResult:
    return await tools.call(NAME, tool, arguments or {}, who, TIMEOUT_S)
