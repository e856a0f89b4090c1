"""A running agent-service, a client of HTTP, and a small MCP server."""

from collections.abc import AsyncIterator

import httpx
import pytest
from agent_service.mcp_client import McpTools
from shared_clients.http import create_http

from tests.support.agent_world import AgentWorld, agent_world
from tests.support.mcp_server import TinyServer, tiny_server
from tests.support.mcp_tools import PUBLIC_KEY, create_server, tools_of


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[AgentWorld]:
    async with agent_world(database_url) as started:
        yield started


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    client = create_http()
    yield client
    await client.aclose()


@pytest.fixture
async def tiny() -> AsyncIterator[TinyServer]:
    async with tiny_server(create_server(), PUBLIC_KEY) as server:
        yield server


@pytest.fixture
def tools(http: httpx.AsyncClient, tiny: TinyServer) -> McpTools:
    return tools_of(http, tiny.url)
