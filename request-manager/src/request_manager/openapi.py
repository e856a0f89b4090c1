"""The public API's description: how to sign in, and problem+json as the form of every error."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from shared_models.web import PROBLEM_TYPE

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key, or a token of your sign-in service"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "an API key"},
}
SIGNED_IN: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
PROBLEM = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
METHODS = frozenset({"get", "put", "post", "delete", "patch"})


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` tell what FastAPI cannot know."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes, openapi_version="3.1.0")
            schema.setdefault("components", {})["securitySchemes"] = SCHEMES
            for operation in _operations(schema):
                _complete(operation)
            for name in ("HTTPValidationError", "ValidationError"):
                schema["components"].get("schemas", {}).pop(name, None)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend it


def _operations(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [op for path in schema["paths"].values() for method, op in path.items() if method in METHODS]


def _complete(operation: dict[str, Any]) -> None:
    if "nobody" not in operation.get("x-callers", []):
        operation["security"] = SIGNED_IN
    for status, response in operation["responses"].items():
        if status.isdigit() and int(status) >= 400 and "content" in response:
            response["content"] = PROBLEM
