"""CloudEvents 1.0: our event types, and their builders. How they look on the wire is in `event_wire.py`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared_models import event_wire
from shared_models.enums import ServiceName
from shared_models.event_wire import CORE, MAX_EVENT_BYTES, STRUCTURED
from shared_models.schemas import AgentResponse, DeliveryReport, NormalizedRequest, RequestProcessing

__all__ = ["MAX_EVENT_BYTES", "STRUCTURED", "CloudEvent", "EventBuilder", "EventType", "parse_http"]

TYPE_PREFIX = "com.self-service-agent."
SCHEMA_BASE = "https://self-service-agent.example/schemas/"


class EventType(StrEnum):
    REQUEST_CREATED = TYPE_PREFIX + "request.created"
    REQUEST_PROCESSING = TYPE_PREFIX + "request.processing"
    RESPONSE_READY = TYPE_PREFIX + "response.ready"
    DELIVERY_SUCCEEDED = TYPE_PREFIX + "delivery.succeeded"
    DELIVERY_FAILED = TYPE_PREFIX + "delivery.failed"


class CloudEvent(BaseModel):
    """One event. `data` is a JSON value; `extensions` are text (integers and booleans become text, as in binary mode).

    An event that came over HTTP hands on the bytes it came with: `raw` is its data, `envelope` its structured form."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    type: str = Field(min_length=1)
    specversion: str = Field(default="1.0", pattern=r"^(0\.3|1\.0)$")
    subject: str | None = Field(default=None, min_length=1)
    time: datetime | None = None
    dataschema: str | None = Field(default=None, min_length=1)
    datacontenttype: str | None = None
    extensions: dict[str, str] = Field(default_factory=dict)
    data: JsonValue = None
    raw: bytes | None = Field(default=None, exclude=True, repr=False)
    envelope: bytes | None = Field(default=None, exclude=True, repr=False)

    def __eq__(self, other: object) -> bool:
        """Two events are the same when they say the same, whatever bytes they came in."""
        return isinstance(other, CloudEvent) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash((self.source, self.id))

    def data_bytes(self) -> bytes:
        """The data as JSON: the bytes that came. Empty: there is none."""
        if self.raw is not None:
            return self.raw
        return b"" if self.data is None else orjson.dumps(self.data)

    def to_structured(self) -> bytes:
        return self.envelope or event_wire.write_structured(self._attributes(), self.data_bytes())

    def to_binary(self) -> tuple[dict[str, str], bytes]:
        """Return (headers, body) of the binary content mode."""
        return event_wire.write_binary(self._attributes(), self.data_bytes())

    def _attributes(self) -> dict[str, Any]:
        core = {name: getattr(self, name) for name in CORE}
        return {name: value for name, value in core.items() if value is not None} | self.extensions


def parse_http(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    """Read an event in binary or structured mode. Header names in lower case.

    Raises MalformedBody (a missing or malformed attribute, a batch, data that is no JSON), PayloadTooLarge."""
    wire = event_wire.read(headers, body)
    core = {name: value for name, value in wire.attributes.items() if name in CORE}
    extensions = {name: value for name, value in wire.attributes.items() if name not in CORE}
    optional = {"subject": None, "time": None, "dataschema": None, "datacontenttype": None}
    # Checked already: validating it once more would cost as much again.
    return CloudEvent.model_construct(
        **{**optional, **core}, extensions=extensions, data=wire.data, raw=wire.data_bytes, envelope=wire.envelope
    )


type EventData = NormalizedRequest | RequestProcessing | AgentResponse | DeliveryReport


def source_of(service: ServiceName) -> str:
    return f"/self-service-agent/{service.value}"


def dataschema_of(kind: EventType) -> str:
    """The URI of version 1 of the schema of this type's data; `docs/schemas` holds it."""
    return f"{SCHEMA_BASE}{kind.value.removeprefix(TYPE_PREFIX)}/1"


def attributes_of(data: EventData) -> dict[str, str]:
    """The extension attributes that repeat what stands in the data, for brokers and for logs.

    `wantsdelivery`: the dispatcher's triggers leave out what is delivered nowhere, most of what people ask on the web."""
    if isinstance(data, DeliveryReport):
        user_id, integration = data.user_id, data.integration
    else:
        user_id, integration = data.person.user_id, data.integration_type
    attributes = {
        "requestid": str(data.request_id),
        "sessionid": str(data.session_id),
        "userid": str(user_id),
        "integrationtype": integration.value,
        "partitionkey": str(data.session_id),
    }
    if isinstance(data, NormalizedRequest | AgentResponse):
        attributes["sequence"] = str(data.sequence)
    if isinstance(data, RequestProcessing | AgentResponse):
        attributes["wantsdelivery"] = "true" if data.delivery is not None else "false"
    return attributes


class EventBuilder:
    """Builds this service's events. An event that is built again has the same id: consumers dedupe by it."""

    def __init__(self, service: ServiceName) -> None:
        self._source = source_of(service)

    def request_created(self, request: NormalizedRequest, *, trace: str = "") -> CloudEvent:
        return self._event(EventType.REQUEST_CREATED, request, f"{request.request_id}:created", trace)

    def request_processing(self, note: RequestProcessing, *, trace: str = "") -> CloudEvent:
        return self._event(EventType.REQUEST_PROCESSING, note, f"{note.request_id}:processing", trace)

    def response_ready(self, answer: AgentResponse, *, trace: str = "") -> CloudEvent:
        return self._event(EventType.RESPONSE_READY, answer, f"{answer.request_id}:ready", trace)

    def delivery(self, report: DeliveryReport, *, trace: str = "") -> CloudEvent:
        is_success = report.status == "delivered"
        kind = EventType.DELIVERY_SUCCEEDED if is_success else EventType.DELIVERY_FAILED
        return self._event(kind, report, f"{report.delivery_id}:{report.status.value}", trace)

    def _event(self, kind: EventType, data: EventData, event_id: str, trace: str) -> CloudEvent:
        extensions = attributes_of(data)
        if trace:
            extensions["traceparent"] = trace
        return CloudEvent(
            id=event_id,
            source=self._source,
            type=kind.value,
            subject=f"request/{data.request_id}",
            time=datetime.now(UTC),
            dataschema=dataschema_of(kind),
            datacontenttype="application/json",
            extensions=extensions,
            data=data.model_dump(mode="json"),
        )
