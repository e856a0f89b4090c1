"""The MCP endpoint lets nobody in without a token that agent-service signed for this server and this tool."""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from shared_models.enums import ServiceName
from shared_models.tokens import ServiceTokens

from tests.support.servicenow import MCP_URL, ServiceNowWorld, servicenow_world

TOOL = "find_my_laptops"
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": TOOL, "arguments": {}}}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
REFUSAL = {"error": "invalid_token"}
CALLS = "calls.jsonl"


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": "agent-service",
        "aud": "mcp:servicenow",
        "sub": str(uuid4()),
        "email": "alice@example.com",
        "request_id": str(uuid4()),
        "tool": TOOL,
        "iat": now,
        "exp": now + 60,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(world: ServiceNowWorld, **changes: Any) -> str:
    """Sign claims with the world's own key, as only agent-service can."""
    return jwt.encode(claims(**changes), world.signer._private, algorithm="EdDSA")


def with_other_claims(token: str, **changes: Any) -> str:
    """Keep the signature, exchange the claims."""
    header, _, signature = token.split(".")
    payload = jwt.encode(claims(**changes), "k" * 32, algorithm="HS256").split(".")[1]
    return ".".join((header, payload, signature))


def hs256_with_the_public_key(world: ServiceNowWorld) -> str:
    return jwt.encode(claims(), base64.b64decode(world.settings.identity_public_key), algorithm="HS256")


BAD_TOKENS: dict[str, Callable[[ServiceNowWorld], str | None]] = {
    "none": lambda world: None,
    "empty": lambda world: "",
    "garbage": lambda world: "not.a.token",
    "expired": lambda world: signed(world, iat=int(time.time()) - 600, exp=int(time.time()) - 540),
    "alg none": lambda world: jwt.encode(claims(), "", algorithm="none"),
    "HS256 with the public key": hs256_with_the_public_key,
    "another audience": lambda world: world.token(TOOL, server="directory"),
    "another issuer": lambda world: signed(world, iss="request-manager"),
    "another key": lambda world: jwt.encode(claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA"),
    "exchanged claims": lambda world: with_other_claims(world.token(TOOL), email="ben@example.com"),
    "no e-mail": lambda world: signed(world, email=None),
    "no expiry": lambda world: signed(world, exp=None),
    "a service's token": lambda world: ServiceTokens("k" * 32, ServiceName.AGENT_SERVICE).make(
        ServiceName.AGENT_SERVICE
    ),
    "another tool": lambda world: world.token("list_laptop_options"),
    "the list's token": lambda world: world.token("tools/list"),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_a_call_with_a_bad_token_is_refused_without_a_hint(tmp_path: Path, name: str) -> None:
    async with servicenow_world(tmp_path) as world:
        reply = await world.post(CALL, BAD_TOKENS[name](world))
        assert (reply.status_code, reply.json()) == (401, REFUSAL)
        assert reply.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert not world.standin.folder.joinpath(CALLS).exists()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "OPTIONS"])
async def test_no_http_method_passes_without_a_token(tmp_path: Path, method: str) -> None:
    async with servicenow_world(tmp_path) as world:
        assert (await world.post(LIST, None, method)).status_code == 401


@pytest.mark.parametrize("rpc", ["initialize", "server/discover", "tools/list", "ping", "resources/list", "no/such"])
async def test_no_rpc_method_passes_without_a_token(tmp_path: Path, rpc: str) -> None:
    async with servicenow_world(tmp_path) as world:
        assert (await world.post({**LIST, "method": rpc}, None)).status_code == 401


async def test_a_good_token_passes(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        reply = await world.post(CALL, signed(world))
        assert reply.status_code == 200
        assert reply.json()["result"]["structuredContent"]["employee"]["name"] == "Alice Archer"


async def test_a_second_authorization_header_or_another_scheme_is_refused(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        good = world.token(TOOL)
        transport = httpx.ASGITransport(app=world.app)
        async with httpx.AsyncClient(transport=transport) as http:
            twice = [("authorization", f"Bearer {good}"), ("authorization", f"Bearer {good}")]
            assert (await http.post(MCP_URL, json=CALL, headers=twice)).status_code == 401
            basic = {"authorization": f"Basic {good}"}
            assert (await http.post(MCP_URL, json=CALL, headers=basic)).status_code == 401


async def test_headers_that_name_a_person_change_nothing(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        headers = {
            "authorization": f"Bearer {world.token(TOOL)}",
            "accept": "application/json, text/event-stream",
            "x-user-id": "ben",
            "x-forwarded-email": "ben@example.com",
        }
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=world.app)) as http:
            reply = await http.post(MCP_URL, json=CALL, headers=headers)
        assert reply.json()["result"]["structuredContent"]["employee"]["email"] == "alice@example.com"


@pytest.mark.parametrize(
    "body",
    [
        [CALL],
        [{**CALL, "params": {"name": "list_my_open_tickets", "arguments": {}}}],
        {**CALL, "params": {"name": "no_such_tool", "arguments": {}}},
        {**CALL, "params": []},
        {**CALL, "params": None},
    ],
)
async def test_a_body_of_another_shape_calls_no_other_tool(tmp_path: Path, body: object) -> None:
    async with servicenow_world(tmp_path) as world:
        reply = await world.post(body, world.token(TOOL))
        assert reply.status_code in (400, 401)
        assert not world.standin.folder.joinpath(CALLS).exists()


async def test_a_huge_body_is_refused(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        reply = await world.post({**CALL, "padding": "x" * 1_100_000}, world.token(TOOL))
    assert reply.status_code == 413


async def test_health_is_open_and_says_nothing(tmp_path: Path) -> None:
    async with servicenow_world(tmp_path) as world:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app=world.app), base_url="http://mcp.test")
        assert (await http.get("/livez")).json() == {"status": "alive"}
        assert (await http.get("/readyz")).json() == {"status": "ready"}
        for path in ("/", "/docs", "/openapi.json", "/mcp/", "/mcp/x", "/metrics"):
            assert (await http.get(path)).status_code == 404
