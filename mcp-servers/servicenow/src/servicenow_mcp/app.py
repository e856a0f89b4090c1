"""Builds the objects of this server; the only file that does."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version

import httpx
from fastapi import FastAPI
from httpx_aiohttp import AiohttpTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from shared_models.health import Health, health_router
from shared_models.tokens import IdentityVerifier
from shared_models.web import EdgeMiddleware
from starlette.routing import Route

from servicenow_mcp.backend import Backend
from servicenow_mcp.desk import Desk
from servicenow_mcp.gate import IdentityGate
from servicenow_mcp.orders import FIRST_PAUSE_S, OrderBook
from servicenow_mcp.rest import RestClient
from servicenow_mcp.rules import shipped_rules
from servicenow_mcp.server import SERVER_NAME, create_server
from servicenow_mcp.settings import ServiceNowSettings, Settings

SERVICE = "servicenow-mcp"
MCP_PATH = "/mcp"


def today_utc() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True)
class Outside:
    """What tests put in the place of the world: the HTTP client, the day, the first pause between two tries."""

    http: httpx.AsyncClient | None = None
    today: Callable[[], date] = today_utc
    pause_s: float = FIRST_PAUSE_S


def create_http() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=AiohttpTransport(limits=httpx.Limits(max_connections=50)))


def create_backend(settings: ServiceNowSettings, http: httpx.AsyncClient, pause_s: float = FIRST_PAUSE_S) -> Backend:
    rest = RestClient(http, settings.base_url, settings.access(), settings.servicenow_timeout, pause_s)
    return Backend(rest, settings.servicenow_laptop_refresh_id)


def create_health(settings: Settings) -> Health:
    """Ready as soon as it runs: when ServiceNow is down, this server is what tells people so."""
    return Health(SERVICE, {}, facts={"servicenow": settings.base_url, "auth": settings.servicenow_auth_type})


def create_app(settings: Settings, outside: Outside | None = None) -> FastAPI:
    outside = outside or Outside()
    http = outside.http or create_http()
    backend = create_backend(settings, http, outside.pause_s)
    desk = Desk(backend, OrderBook(backend, outside.pause_s), shipped_rules(), outside.today)
    server = create_server(desk, version("self-service-agent-servicenow-mcp"))
    # The gate in front stands in for the SDK's own checks of Host and Origin: a browser has no identity token.
    endpoint = server.streamable_http_app(json_response=True, stateless_http=True, host="")
    sessions: StreamableHTTPSessionManager = server.session_manager

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with sessions.run():
            yield
        if outside.http is None:
            await http.aclose()

    app = FastAPI(title="Self-Service Agent: ServiceNow", openapi_url=None, lifespan=lifespan, redirect_slashes=False)
    app.include_router(health_router(create_health(settings)))
    gate = IdentityGate(endpoint, IdentityVerifier(settings.identity_public_key, server=SERVER_NAME))
    app.router.routes.append(Route(MCP_PATH, endpoint=gate))
    app.add_middleware(EdgeMiddleware, service=SERVICE)
    return app
