"""Who may call which route: the parts of the test that walks every route with every caller."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from local_stack.sms.callbacks import signature
from starlette.routing import BaseRoute

from tests.support.slack import SIGNING_SECRET
from tests.support.slack_signing import sign
from tests.support.sms import AUTH_TOKEN

CALLERS = ("nobody", "own", "other", "operator", "administrator", "tool", "service", "broker", "provider")
DOCUMENTS = {"GET /openapi.json", "GET /docs", "GET /docs/oauth2-redirect"}

type Json = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """`callers`: who gets in, in words of CALLERS. `body`: one that is taken; `{name}` in it stands for an object's id.

    `own_objects`: the address names a thing of one person, which for another one is not there."""

    callers: str
    body: Json | None = None
    own_objects: bool = False

    @property
    def allowed(self) -> set[str]:
        return set(self.callers.split())


def signed_by_provider(url: str, body: bytes) -> dict[str, str]:
    """The headers that prove a provider's call: that of SMS has an empty form here."""
    if "/sms/" in url:
        return {"x-twilio-signature": signature(url, {}, AUTH_TOKEN)}
    return sign(body, secret=SIGNING_SECRET)


def routes_of(app: FastAPI) -> dict[str, list[str]]:
    """`METHOD path` of every route, with the callers it declares; none for the pages that describe the API."""
    found: dict[str, list[str]] = {}
    for route in _walk(app.routes):
        path, methods = getattr(route, "path", ""), getattr(route, "methods", None) or set()
        declared = (getattr(route, "openapi_extra", None) or {}).get("x-callers", [])
        for method in methods - {"HEAD"}:
            name = f"{method} {path}"
            assert name not in found, f"{name} is there twice"
            found[name] = declared
    return found


def _walk(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    for route in routes:
        router = getattr(route, "original_router", None)
        if router is None:
            yield route
        else:
            yield from _walk(router.routes)


def is_expected(row: Row, caller: str, status: int) -> bool:
    """What a caller may see: inside anything but a refusal; outside 401, 403, or 404 for another person's thing."""
    if row.allowed & {caller, "nobody"}:
        return status < 500 and status not in (401, 403, 404)
    if caller in ("nobody", "provider"):
        return status == 401
    if row.own_objects and caller in ("other", "operator", "administrator"):
        return status == 404
    return status in (401, 403, 404)
