"""Slack's three addresses. All three are one: Bolt knows by the body what has come."""

from fastapi import APIRouter, Request, Response

from integration_dispatcher.routes.dependencies import PartsDep, callers


def slack_router() -> APIRouter:
    """Only there when SLACK_SIGNING_SECRET is set."""
    router = APIRouter(prefix="/slack", tags=["slack"])

    async def take(request: Request, parts: PartsDep) -> Response:
        """Signed by Slack. 200: it is stored; 401, 400: never; 503: Slack sends it again."""
        assert parts.slack is not None
        return await parts.slack.handle(request)

    for name in ("events", "commands", "interactive"):
        router.add_api_route(
            f"/{name}",
            take,
            methods=["POST"],
            response_class=Response,
            name=f"slack {name}",
            openapi_extra=callers("provider"),
        )
    return router
