"""The MCP server in front of the ServiceNow stand-in, both in this process, for tests of any suite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import httpx2
import yaml
from fastapi import FastAPI
from local_stack.servicenow.app import Rights, Standin
from local_stack.servicenow.app import create_app as create_standin_app
from local_stack.servicenow.settings import StandinSettings
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent
from pydantic import SecretStr
from servicenow_mcp.app import Outside, create_app
from servicenow_mcp.settings import AuthType, Settings
from shared_models.settings import Profile
from shared_models.tokens import Identity, IdentitySigner, new_identity_key_pair

INSTANCE_URL = "http://servicenow.test"
MCP_URL = "http://mcp.test/mcp"
API_KEY = "a-key-of-the-tests"
TODAY = date(2026, 3, 17)


@dataclass
class Clock:
    """A day that stands still until a test moves it."""

    day: date = TODAY

    def today(self) -> date:
        return self.day

    def now(self) -> datetime:
        return datetime.combine(self.day, time(9, 30), UTC)


@dataclass
class ServiceNowWorld:
    """`http`: what the MCP server calls ServiceNow with; it ends in the stand-in."""

    standin: Standin
    app: FastAPI
    signer: IdentitySigner
    clock: Clock
    settings: Settings
    http: httpx.AsyncClient
    request_id: UUID = field(default_factory=uuid4)

    def token(
        self, tool: str, email: str = "alice@example.com", intent: str = "", *, server: str = "servicenow"
    ) -> str:
        name = email.partition("@")[0].title()
        identity = Identity(uuid4(), email, name, self.request_id, tool, intent)
        return self.signer.sign(identity, server=server)

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any] | None = None,
        *,
        email: str = "alice@example.com",
        intent: str = "",
        app: FastAPI | None = None,
    ) -> CallToolResult:
        """Call a tool as agent-service does: a client of its own with a token for this one call."""
        async with self.mcp_client(self.token(tool, email, intent), app) as client:
            result = await client.call_tool(tool, arguments or {})
            assert isinstance(result, CallToolResult)
            return result

    async def ask(self, tool: str, arguments: dict[str, Any] | None = None, **caller: str) -> dict[str, Any]:
        """Return the structured content of a tool that must succeed."""
        result = await self.call(
            tool, arguments, email=caller.get("email", "alice@example.com"), intent=caller.get("intent", "")
        )
        assert not result.is_error, words_of(result)
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    async def fails(self, tool: str, arguments: dict[str, Any] | None = None, **caller: str) -> str:
        """Return the words of a tool that must fail."""
        result = await self.call(
            tool, arguments, email=caller.get("email", "alice@example.com"), intent=caller.get("intent", "")
        )
        assert result.is_error, result.structured_content
        return words_of(result)

    @asynccontextmanager
    async def mcp_client(self, token: str, app: FastAPI | None = None) -> AsyncIterator[Client]:
        transport = httpx2.ASGITransport(app=app or self.app)
        headers = {"authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(transport=transport, headers=headers) as http,
            Client(streamable_http_client(MCP_URL, http_client=http)) as client,
        ):
            yield client

    async def post(self, body: object, token: str | None, method: str = "POST") -> httpx.Response:
        """Send one raw HTTP request to the MCP endpoint."""
        headers = {"accept": "application/json, text/event-stream"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app)) as http:
            return await http.request(method, MCP_URL, json=body, headers=headers)

    def write_people(self, people: list[dict[str, Any]]) -> None:
        text = yaml.safe_dump({"people": people}, allow_unicode=True)
        self.standin.directory.path.write_text(text, encoding="utf-8")


def words_of(result: CallToolResult) -> str:
    return " ".join(part.text for part in result.content if isinstance(part, TextContent))


def standin_settings() -> StandinSettings:
    return StandinSettings(
        api_key=SecretStr(API_KEY),
        username="integration",
        password=SecretStr("a-password"),
        client_id="a-client",
        client_secret=SecretStr("a-client-secret"),
        control_token=SecretStr("a-control-token"),
    )


def mcp_settings(standin: Standin, public_key: str, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "profile": Profile.LOCAL,
        "servicenow_instance_url": INSTANCE_URL,
        "servicenow_auth_type": AuthType.API_KEY,
        "servicenow_api_key": SecretStr(API_KEY),
        "servicenow_laptop_refresh_id": standin.catalogue.item.sys_id,
        "servicenow_timeout": 30.0,
        "identity_public_key": public_key,
    }
    return Settings(**{**given, **changes})


@asynccontextmanager
async def servicenow_world(
    folder: Path, *, rights: Rights | None = None, pause_s: float = 0.001, **changes: Any
) -> AsyncIterator[ServiceNowWorld]:
    """Run both in this process. `changes`: settings of the MCP server."""
    clock = Clock()
    standin = Standin(folder, standin_settings(), clock.now, rights=rights or Rights())
    signing_key, public_key = new_identity_key_pair()
    settings = mcp_settings(standin, public_key, **changes)
    transport = httpx.ASGITransport(app=create_standin_app(standin))
    async with httpx.AsyncClient(transport=transport) as http:
        app = create_app(settings, Outside(http, clock.today, pause_s))
        async with app.router.lifespan_context(app):
            yield ServiceNowWorld(standin, app, IdentitySigner(signing_key), clock, settings, http)
