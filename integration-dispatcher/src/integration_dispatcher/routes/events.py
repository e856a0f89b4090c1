"""CloudEvents in. Every reply has an EMPTY body: 202 done or already done, 400 never, 503 later.

A 2xx with a JSON body would be a failed delivery for Knative's Kafka broker."""

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError
from shared_models.enums import ServiceName
from shared_models.errors import InvalidRequest, MalformedBody, PayloadTooLarge, Unavailable
from shared_models.events import CloudEvent, EventType, parse_http
from shared_models.logging import get_logger
from shared_models.schemas import AgentResponse, RequestProcessing
from shared_models.telemetry import span
from shared_models.tokens import ServiceTokens
from shared_models.web import service_caller

from integration_dispatcher.parts import Parts
from integration_dispatcher.routes.dependencies import PartsDep, callers

RETRY_AFTER = {"retry-after": "2"}

log = get_logger(__name__)


def events_router(tokens: ServiceTokens) -> APIRouter:
    router = APIRouter(tags=["events"])
    machine = Depends(service_caller(tokens, ServiceName.REQUEST_MANAGER))

    @router.post(
        "/events",
        status_code=202,
        response_class=Response,
        dependencies=[machine],
        openapi_extra=callers("service", "broker"),
    )
    async def receive(request: Request, parts: PartsDep) -> Response:
        try:
            event = parse_http({name.lower(): value for name, value in request.headers.items()}, await request.body())
            with span("event", traceparent=event.extensions.get("traceparent", "")):
                await take(event, parts)
        except (MalformedBody, PayloadTooLarge, InvalidRequest, ValidationError) as exc:
            log.warning("event_refused", cause=type(exc).__name__)
            return Response(status_code=400)
        except Unavailable:
            return Response(status_code=503, headers=RETRY_AFTER)
        return Response(status_code=202)

    return router


async def take(event: CloudEvent, parts: Parts) -> None:
    """Raises MalformedBody for what has no place here."""
    match event.type:
        case EventType.RESPONSE_READY:
            answer = ended(AgentResponse.model_validate(event.data))
            await parts.processor.plan(answer, answer.model_dump_json())
        case EventType.REQUEST_PROCESSING:
            # No integration of today shows that a request is being worked on: checked, and done.
            RequestProcessing.model_validate(event.data)
        case _:
            raise MalformedBody("This event has no place here.")


def ended(answer: AgentResponse) -> AgentResponse:
    """Raises InvalidRequest for a request that has not reached its end."""
    if not answer.status.is_end:
        raise InvalidRequest("status: only an ended request is delivered")
    return answer
