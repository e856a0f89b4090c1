"""Events from the broker, or in direct mode from the other services. Every reply is empty: 202, 400 never, 503 later.

Source: https://github.com/knative/specs/blob/main/specs/eventing/data-plane.md."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError
from shared_models.enums import IntegrationType, ServiceName
from shared_models.errors import MalformedBody, ServiceError
from shared_models.events import CloudEvent, EventType, parse_http
from shared_models.faults import fault
from shared_models.logging import get_logger
from shared_models.schemas import AgentResponse, DeliveryReport, RequestProcessing

from request_manager.domain.callers import Caller
from request_manager.parts import Parts
from request_manager.routes.dependencies import PartsDep, callers, service_of
from request_manager.store import requests as store

router = APIRouter(tags=["events"])
log = get_logger(__name__)

SenderDep = Annotated[Caller, Depends(service_of(ServiceName.AGENT_SERVICE, ServiceName.INTEGRATION_DISPATCHER))]

EMPTY_REPLIES: dict[int | str, dict[str, str]] = {
    202: {"description": "Done, or done before"},
    400: {"description": "This event will never be taken"},
    401: {"description": "Not signed in"},
    403: {"description": "Not allowed"},
    503: {"description": "Send it again later"},
}


@router.post(
    "/events",
    status_code=202,
    response_class=Response,
    responses=EMPTY_REPLIES,
    openapi_extra=callers("service", "broker"),
)
async def take_event(request: Request, _caller: SenderDep, parts: PartsDep) -> Response:
    """A CloudEvent 1.0, in binary or structured mode."""
    try:
        event = parse_http(dict(request.headers), await request.body())
        await fault("request_manager.event.before_commit", event.subject)
        await _take(parts, event)
        await fault("request_manager.event.committed", event.subject)
    except ServiceError as exc:
        status = 503 if exc.retryable or exc.status >= 500 else 400
        log.warning("event_not_taken", code=exc.code, status=status)
        return Response(status_code=status)
    return Response(status_code=202)


async def _take(parts: Parts, event: CloudEvent) -> None:
    """Raises MalformedBody for an event that is not for us or holds something else than it says."""
    try:
        match event.type:
            case EventType.REQUEST_PROCESSING:
                note = RequestProcessing.model_validate(event.data)
                _check(event, note, note.person.user_id, note.integration_type)
                await store.mark_processing(parts.database, note.request_id)
                if note.delivery is not None:
                    await parts.strategy.pass_on(event)
            case EventType.RESPONSE_READY:
                answer = AgentResponse.model_validate(event.data)
                _check(event, answer, answer.person.user_id, answer.integration_type)
                if not answer.status.is_end:
                    raise MalformedBody("An answer has an end.")
                await parts.processor.complete(answer, announce=False)
            case EventType.DELIVERY_SUCCEEDED | EventType.DELIVERY_FAILED:
                report = DeliveryReport.model_validate(event.data)
                _check(event, report, report.user_id, report.integration)
                await store.record_delivery(parts.database, report.request_id, report.integration, report.status)
            case _:
                raise MalformedBody("This event is not taken here.")
    except ValidationError as exc:
        raise MalformedBody("The event's data does not fit its type.") from exc


def _check(
    event: CloudEvent,
    data: RequestProcessing | AgentResponse | DeliveryReport,
    user_id: UUID,
    integration: IntegrationType,
) -> None:
    """The attributes, by which brokers route and order, say the same as the data. Raises MalformedBody."""
    expected = {
        "requestid": str(data.request_id),
        "sessionid": str(data.session_id),
        "userid": str(user_id),
        "integrationtype": integration.value,
        "partitionkey": str(data.session_id),
    }
    wrong = [name for name, value in expected.items() if event.extensions.get(name) != value]
    if event.subject != f"request/{data.request_id}":
        wrong.append("subject")
    wrong += [name for name, value in (("time", event.time), ("dataschema", event.dataschema)) if value is None]
    if wrong:
        raise MalformedBody(f"Missing or different: {', '.join(wrong)}.")
