"""What each type of event carries and who sends it, and reading an event as what it says it is."""

from dataclasses import dataclass

from pydantic import ValidationError

from shared_models.enums import ServiceName
from shared_models.errors import MalformedBody
from shared_models.events import CloudEvent, EventData, EventType, attributes_of, dataschema_of, source_of
from shared_models.schemas import AgentResponse, DeliveryReport, NormalizedRequest, RequestProcessing

MAX_DEPTH_TOLD = 3


@dataclass(frozen=True)
class Kind:
    """`data` in JSON is what `model` takes; `senders` build it, `takers` have an effect of it."""

    model: type[EventData]
    senders: tuple[ServiceName, ...]
    takers: tuple[ServiceName, ...]


_RM, _AS, _ID = ServiceName.REQUEST_MANAGER, ServiceName.AGENT_SERVICE, ServiceName.INTEGRATION_DISPATCHER
KINDS: dict[EventType, Kind] = {
    EventType.REQUEST_CREATED: Kind(NormalizedRequest, (_RM,), (_AS,)),
    EventType.REQUEST_PROCESSING: Kind(RequestProcessing, (_AS,), (_RM, _ID)),
    EventType.RESPONSE_READY: Kind(AgentResponse, (_AS, _RM), (_RM, _ID)),
    EventType.DELIVERY_SUCCEEDED: Kind(DeliveryReport, (_ID,), (_RM,)),
    EventType.DELIVERY_FAILED: Kind(DeliveryReport, (_ID,), (_RM,)),
}


def data_of(event: CloudEvent, taker: ServiceName) -> EventData:
    """The data of an event that `taker` takes. Its attributes, by which brokers route and order, must say the same.

    Raises MalformedBody, which names what is wrong and no value."""
    try:
        kind = KINDS[EventType(event.type)]
    except ValueError as exc:
        raise MalformedBody("Events of this type are not known.") from exc
    if taker not in kind.takers:
        raise MalformedBody(f"Events of this type are not for {taker.value}.")
    try:
        data = kind.model.read(event.data)
    except ValidationError as exc:
        found = exc.errors(include_input=False, include_url=False)
        fields = sorted({".".join(map(str, error["loc"][:MAX_DEPTH_TOLD])) or "data" for error in found})
        raise MalformedBody(f"The data does not fit the type of the event: {', '.join(fields[:10])}.") from exc
    if wrong := _differences(event, data, kind):
        raise MalformedBody(f"Missing, or different from the data: {', '.join(wrong)}.")
    return data


def _differences(event: CloudEvent, data: EventData, kind: Kind) -> list[str]:
    """The names of attributes that are missing or do not say what the data says."""
    wrong = [name for name, value in attributes_of(data).items() if event.extensions.get(name) != value]
    if event.source not in map(source_of, kind.senders):
        wrong.append("source")
    if event.subject != f"request/{data.request_id}":
        wrong.append("subject")
    if event.time is None:
        wrong.append("time")
    if event.dataschema != dataschema_of(EventType(event.type)):
        wrong.append("dataschema")
    if isinstance(data, AgentResponse) and not data.status.is_end:
        wrong.append("status")
    is_success = isinstance(data, DeliveryReport) and data.status == "delivered"
    if isinstance(data, DeliveryReport) and is_success is not (event.type == EventType.DELIVERY_SUCCEEDED):
        wrong.append("status")
    return wrong
