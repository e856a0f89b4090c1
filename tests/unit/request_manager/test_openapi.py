"""The public API's description."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from request_manager.app import create_app
from request_manager.settings import RequestManagerSettings
from shared_models.web import PROBLEM_TYPE


def app(**more: Any) -> FastAPI:
    values: dict[str, Any] = {"database_url": "postgresql://u@h/d", "service_token_key": "k" * 32}
    return create_app(RequestManagerSettings(**values | more))


def operations() -> list[tuple[str, dict[str, Any]]]:
    paths = app().openapi()["paths"]
    return [(f"{method} {path}", op) for path, methods in paths.items() for method, op in methods.items()]


@pytest.mark.parametrize(("name", "operation"), operations(), ids=[name for name, _ in operations()])
def test_every_route_tells_who_may_call_and_what_it_answers(name: str, operation: dict[str, Any]) -> None:
    assert operation["x-callers"]
    is_open = "nobody" in operation["x-callers"]
    assert ("security" in operation) is not is_open
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if status == "204" or name in ("post /events", "post /dead-letters"):
            assert content == {}, status
        elif int(status) >= 400:
            assert list(content) == [PROBLEM_TYPE], status
        else:
            [media] = content.values()
            assert media.get("schema"), status
    assert is_open or {"401", "503"} <= operation["responses"].keys()


def test_every_schema_that_is_referred_to_is_there() -> None:
    document = app().openapi()
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            return {str(value["$ref"])} if "$ref" in value else set().union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    assert references(document) <= known
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_both_modes_have_the_same_description() -> None:
    assert app().openapi() == app(eventing_enabled=True, broker_url="http://broker.test/ns/default").openapi()


@pytest.mark.parametrize(("profile", "status"), [("local", 200), ("production", 404)])
async def test_the_page_to_try_it_is_for_the_local_profile(profile: str, status: int) -> None:
    transport = httpx.ASGITransport(app(profile=profile))
    async with httpx.AsyncClient(transport=transport, base_url="http://rm.test") as client:
        assert (await client.get("/docs")).status_code == status
        assert (await client.get("/redoc")).status_code == 404
        assert (await client.get("/openapi.json")).status_code == 200
