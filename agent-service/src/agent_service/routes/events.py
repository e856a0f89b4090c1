"""CloudEvents in. Every reply has an EMPTY body: 202 done or already done, 400 never, 503 later.

A 2xx with a JSON body would be a failed delivery for Knative's Kafka broker."""

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from shared_models.errors import InvalidRequest, MalformedBody, NotFound, PayloadTooLarge, Unavailable
from shared_models.events import CloudEvent, EventType, parse_http
from shared_models.logging import get_logger
from shared_models.schemas import NormalizedRequest
from shared_models.telemetry import span

from agent_service.routes.dependencies import EVENT_CALLERS, CallerDep, PartsDep

RETRY_AFTER = {"retry-after": "2"}

log = get_logger(__name__)
router = APIRouter(tags=["events"])


@router.post("/events", status_code=202, response_class=Response, openapi_extra=EVENT_CALLERS)
async def receive(request: Request, parts: PartsDep, _caller: CallerDep) -> Response:
    """`request.created`: the run is made; its end is told by the event `response.ready`."""
    try:
        event = parse_http({name.lower(): value for name, value in request.headers.items()}, await request.body())
        with span("event", traceparent=event.extensions.get("traceparent", "")):
            wanted = request_of(event)
            await parts.processor.take_event(wanted, orjson.dumps(event.data))
    except (MalformedBody, PayloadTooLarge, InvalidRequest, NotFound, ValidationError, UnicodeError, TypeError) as exc:
        log.warning("event_refused", cause=type(exc).__name__)
        return Response(status_code=400)
    except Unavailable:
        return Response(status_code=503, headers=RETRY_AFTER)
    return Response(status_code=202)


def request_of(event: CloudEvent) -> NormalizedRequest:
    """The request of a `request.created`, whose attributes must say the same as its data. Raises MalformedBody."""
    if event.type != EventType.REQUEST_CREATED:
        raise MalformedBody("This event has no place here.")
    request = NormalizedRequest.model_validate(event.data)
    expected = {
        "requestid": str(request.request_id),
        "sessionid": str(request.session_id),
        "userid": str(request.person.user_id),
        "integrationtype": request.integration_type.value,
        "partitionkey": str(request.session_id),
        "sequence": str(request.sequence),
    }
    wrong = [name for name, value in expected.items() if event.extensions.get(name) != value]
    if event.subject != f"request/{request.request_id}":
        wrong.append("subject")
    wrong += [name for name, value in (("time", event.time), ("dataschema", event.dataschema)) if value is None]
    if wrong:
        raise MalformedBody(f"Missing or different: {', '.join(wrong)}.")
    return request
