"""The edge every service shares: problem+json, limits, request ids."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel
from shared_models.enums import ServiceName
from shared_models.errors import TooManyRequests
from shared_models.health import Health, create_operations_app
from shared_models.tokens import ServiceTokens
from shared_models.web import create_app, service_caller

KEY = "k" * 40
router = APIRouter()


class Body(BaseModel):
    secret: int


@router.post("/echo")
async def echo(body: Body) -> int:
    return body.secret


@router.post("/raw")
async def raw(request: Request) -> int:
    return len(await request.body())


@router.get("/busy")
async def busy() -> None:
    raise TooManyRequests(retry_after_s=7)


@router.get("/broken")
async def broken() -> None:
    raise RuntimeError("internals that nobody may read")


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield


async def fine() -> None:
    return


async def failing() -> None:
    raise OSError("db.internal:5432 refused")


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(
        ServiceName.REQUEST_MANAGER, health=Health("x", {"fine": fine}), routers=[router], lifespan=lifespan
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        yield client


async def test_an_error_is_problem_json_with_an_id_and_a_hint(http: httpx.AsyncClient) -> None:
    reply = await http.get("/busy", headers={"x-request-id": "abcdefgh-1"})
    assert (reply.status_code, reply.headers["content-type"]) == (429, "application/problem+json")
    assert reply.headers["retry-after"] == "7"
    assert reply.headers["x-request-id"] == reply.json()["request_id"] == "abcdefgh-1"
    assert reply.json()["code"] == "too_many_requests"
    assert reply.json()["hint"]


async def test_an_unexpected_error_tells_no_internals(http: httpx.AsyncClient) -> None:
    reply = await http.get("/broken")
    assert reply.status_code == 500
    assert "internals" not in reply.text
    assert reply.json()["request_id"] == reply.headers["x-request-id"]


async def test_a_bad_field_is_named_and_its_value_is_not(http: httpx.AsyncClient) -> None:
    reply = await http.post("/echo", json={"secret": "hunter2"})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == "body.secret"
    assert "hunter2" not in reply.text


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b""])
async def test_a_body_that_is_no_json_is_a_4xx(http: httpx.AsyncClient, body: bytes) -> None:
    reply = await http.post("/echo", content=body, headers={"content-type": "application/json"})
    assert reply.status_code in (400, 422)
    assert reply.headers["content-type"] == "application/problem+json"


async def test_a_body_that_does_not_say_it_is_json_is_told_which_content_type_to_send(http: httpx.AsyncClient) -> None:
    reply = await http.post("/echo", content=b'{"number": 1}', headers={"content-type": "text/plain"})
    assert reply.status_code == 400
    assert "Content-Type application/json" in reply.json()["hint"]


async def test_a_declared_large_body_is_refused(http: httpx.AsyncClient) -> None:
    reply = await http.post("/raw", content=b"x" * (10 * 1024 * 1024))
    assert (reply.status_code, reply.json()["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize("path", ["/raw", "/echo"])
async def test_a_streamed_large_body_is_refused(http: httpx.AsyncClient, path: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 65536

    reply = await http.post(path, content=chunks(), headers={"content-type": "application/json"})
    assert (reply.status_code, reply.json()["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/echo", 405)])
async def test_unknown_routes_are_problems_too(http: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    reply = await http.request(method, path)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("given", ["x", "a b c d e f g h", "ä" * 10, "x" * 65])
async def test_a_strange_request_id_is_replaced(http: httpx.AsyncClient, given: str) -> None:
    reply = await http.get("/busy", headers={b"x-request-id": given.encode()})
    assert reply.headers["x-request-id"] != given


async def test_readiness_tells_no_detail_and_the_operations_port_does() -> None:
    health = Health("x", {"database": failing, "model": fine}, facts={"mode": "direct"})
    app = create_app(ServiceName.REQUEST_MANAGER, health=health, routers=[], lifespan=lifespan)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        ready = await client.get("/readyz")
        alive = await client.get("/livez")
    assert (ready.status_code, ready.json()) == (503, {"status": "not ready"})
    assert alive.status_code == 200
    operations = httpx.ASGITransport(create_operations_app(health))
    async with httpx.AsyncClient(transport=operations, base_url="http://x") as client:
        detailed = await client.get("/health/detailed")
        metrics = await client.get("/metrics")
    assert detailed.status_code == 503
    assert detailed.json()["checks"]["database"]["ok"] is False
    assert detailed.json()["mode"] == "direct"
    assert "refused" not in detailed.text
    assert "ssa_http_request_duration_seconds" in metrics.text


async def test_only_named_services_pass_the_service_dependency() -> None:
    from fastapi import Depends

    guarded = APIRouter()
    tokens = ServiceTokens(KEY, ServiceName.AGENT_SERVICE)
    check = service_caller(tokens, ServiceName.REQUEST_MANAGER)

    @guarded.get("/guarded", dependencies=[Depends(check)])
    async def get() -> str:
        return "in"

    app = create_app(ServiceName.AGENT_SERVICE, health=Health("x", {}), routers=[guarded], lifespan=lifespan)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:

        async def status(token: str) -> int:
            reply = await client.get("/guarded", headers={"authorization": f"Bearer {token}"} if token else {})
            return reply.status_code

        assert await status(ServiceTokens(KEY, ServiceName.REQUEST_MANAGER).make(ServiceName.AGENT_SERVICE)) == 200
        assert (
            await status(ServiceTokens(KEY, ServiceName.INTEGRATION_DISPATCHER).make(ServiceName.AGENT_SERVICE)) == 403
        )
        assert await status(ServiceTokens(KEY, ServiceName.REQUEST_MANAGER).make(ServiceName.REQUEST_MANAGER)) == 401
        assert await status("") == 401
