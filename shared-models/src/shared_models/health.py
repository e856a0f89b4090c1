"""Liveness, readiness, and the operators' second port with `/metrics` and `/health/detailed`."""

import time
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared_models.logging import get_logger

type Detail = Callable[[], Awaitable[object]]
"""Something more for operators to read, as JSON; it says nothing about readiness."""
type Check = Callable[[], Awaitable[None]]
"""Returns when all is well, else raises."""

log = get_logger(__name__)


class Health:
    """The readiness of one service: every check must pass. `facts` and `details` stand beside them in the detailed form."""

    def __init__(
        self,
        service: str,
        checks: Mapping[str, Check],
        *,
        facts: Mapping[str, str] | None = None,
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        self._service = service
        self._checks = checks
        self._facts = dict(facts or {})
        self._details = dict(details or {})

    async def is_ready(self) -> bool:
        return all([await self._passes(name) for name in self._checks])

    async def _passes(self, name: str) -> bool:
        try:
            await self._checks[name]()
        except Exception as exc:  # noqa: BLE001  # a failing check is the answer, not an error
            log.warning("not_ready", check=name, cause=type(exc).__name__)
            return False
        return True

    async def detailed(self) -> tuple[bool, dict[str, object]]:
        results: dict[str, object] = {}
        for name in self._checks:
            started = time.perf_counter()
            passed = await self._passes(name)
            results[name] = {"ok": passed, "ms": round((time.perf_counter() - started) * 1000, 1)}
        is_ok = all(isinstance(result, dict) and result["ok"] for result in results.values())
        details = {name: await self._detail(name) for name in self._details}
        return is_ok, {"service": self._service, **self._facts, "checks": results, **details}

    async def _detail(self, name: str) -> object:
        try:
            return await self._details[name]()
        except Exception as exc:  # noqa: BLE001  # the other details and the checks are still worth reading
            log.warning("no_detail", detail=name, cause=type(exc).__name__)
            return "not known"


def health_router(health: Health) -> APIRouter:
    """`/livez`, `/readyz`, `/health`: open, without detail."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", openapi_extra={"x-callers": ["nobody"]})
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    async def readiness(response: Response) -> dict[str, str]:
        is_ready = await health.is_ready()
        response.status_code = 200 if is_ready else 503
        return {"status": "ready" if is_ready else "not ready"}

    router.get("/readyz", openapi_extra={"x-callers": ["nobody"]})(readiness)
    router.get("/health", openapi_extra={"x-callers": ["nobody"]}, operation_id="health")(readiness)
    return router


def create_operations_app(health: Health, refresh: Check | None = None) -> FastAPI:
    """The app of the second port, for scrapers and operators inside the cluster. `refresh` updates gauges before a scrape."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/metrics")
    async def metrics() -> Response:
        if refresh is not None:
            await refresh()
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/health/detailed")
    async def detailed(response: Response) -> dict[str, object]:
        is_ok, body = await health.detailed()
        response.status_code = 200 if is_ok else 503
        return body

    return app
