"""CloudEvents 1.0: the event types, their builders and a strict HTTP codec.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md.
The `cloudevents` library invents a missing id, time and version; here a missing or malformed attribute is an error."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import quote, unquote

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from shared_models.enums import ServiceName
from shared_models.errors import MalformedBody, PayloadTooLarge
from shared_models.schemas import AgentResponse, DeliveryReport, NormalizedRequest, RequestProcessing

TYPE_PREFIX = "com.self-service-agent."
MAX_EVENT_BYTES = 1024 * 1024
STRUCTURED = "application/cloudevents+json"
SCHEMA_BASE = "https://self-service-agent.example/schemas/"
_NAME = re.compile(r"^[a-z0-9]{1,20}$")
_CORE = {"id", "source", "type", "specversion", "subject", "time", "dataschema", "datacontenttype"}


class EventType(StrEnum):
    REQUEST_CREATED = TYPE_PREFIX + "request.created"
    REQUEST_PROCESSING = TYPE_PREFIX + "request.processing"
    RESPONSE_READY = TYPE_PREFIX + "response.ready"
    DELIVERY_SUCCEEDED = TYPE_PREFIX + "delivery.succeeded"
    DELIVERY_FAILED = TYPE_PREFIX + "delivery.failed"


class CloudEvent(BaseModel):
    """One event. `data` is a JSON value; `extensions` are text (integers and booleans become text, as in binary mode)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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

    def to_structured(self) -> bytes:
        core = self.model_dump(mode="json", exclude={"extensions"}, exclude_none=True)
        return orjson.dumps(core | self.extensions)

    def to_binary(self) -> tuple[dict[str, str], bytes]:
        """Return (headers, body) of the binary content mode."""
        core = self.model_dump(mode="json", exclude={"extensions", "data", "datacontenttype"}, exclude_none=True)
        headers = {
            f"ce-{name}": quote(str(value), safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~") for name, value in core.items()
        }
        headers |= {
            f"ce-{name}": quote(value, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~") for name, value in self.extensions.items()
        }
        headers["content-type"] = self.datacontenttype or "application/json"
        return headers, orjson.dumps(self.data)


def parse_http(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    """Read an event in binary or structured mode. Header names in lower case.

    Raises MalformedBody (a missing or malformed attribute, a batch, no JSON), PayloadTooLarge."""
    if len(body) > MAX_EVENT_BYTES:
        raise PayloadTooLarge("An event may have 1 MiB.")
    content_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type.startswith("application/cloudevents-batch"):
        raise MalformedBody("Batches of events are not accepted.")
    if content_type == STRUCTURED:
        return _parse_structured(body)
    if content_type.startswith("application/cloudevents"):
        raise MalformedBody("Only the JSON event format is accepted.")
    return _parse_binary(headers, content_type, body)


def _parse_structured(body: bytes) -> CloudEvent:
    value = _json(body)
    if not isinstance(value, dict):
        raise MalformedBody("An event is a JSON object.")
    data = value.pop("data", None)
    encoded = value.pop("data_base64", None)
    if encoded is not None:
        if data is not None or not isinstance(encoded, str):
            raise MalformedBody("data and data_base64 exclude each other.")
        try:
            data = _json(base64.b64decode(encoded, validate=True))
        except binascii.Error as exc:
            raise MalformedBody("data_base64 is not base64.") from exc
    return _build(value, data)


def _parse_binary(headers: Mapping[str, str], content_type: str, body: bytes) -> CloudEvent:
    try:
        attributes: dict[str, JsonValue] = {
            name[3:]: unquote(value, errors="strict") for name, value in headers.items() if name.startswith("ce-")
        }
    except UnicodeDecodeError as exc:
        raise MalformedBody("Attributes are percent-encoded UTF-8.") from exc
    if content_type:
        attributes["datacontenttype"] = content_type
    return _build(attributes, _json(body) if body else None)


def _build(attributes: dict[str, JsonValue], data: JsonValue) -> CloudEvent:
    missing = {"id", "source", "type", "specversion"} - attributes.keys()
    if missing:
        raise MalformedBody(f"The event has no {', '.join(sorted(missing))}.")
    bad = [name for name in attributes if not _NAME.match(name)]
    if bad:
        raise MalformedBody("Attribute names have 1 to 20 of a-z and 0-9.")
    extensions = {name: _text(value) for name, value in attributes.items() if name not in _CORE}
    core = {name: value for name, value in attributes.items() if name in _CORE}
    time = core.get("time")
    if time is not None and not (isinstance(time, str) and re.search(r"(Z|[+-]\d\d:\d\d)$", time, re.IGNORECASE)):
        raise MalformedBody("time is no RFC 3339 timestamp.")
    try:
        return CloudEvent.model_validate({**core, "extensions": extensions, "data": data})
    except ValidationError as exc:
        names = sorted({str(error["loc"][0]) for error in exc.errors() if error["loc"]})
        raise MalformedBody(f"Malformed attributes: {', '.join(names)}.") from exc


def _json(body: bytes) -> JsonValue:
    try:
        value: JsonValue = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise MalformedBody("The event is not valid JSON.") from exc
    return value


def _text(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise MalformedBody("Extension attributes are text, integers or booleans.")


type EventData = NormalizedRequest | RequestProcessing | AgentResponse | DeliveryReport


def source_of(service: ServiceName) -> str:
    return f"/self-service-agent/{service.value}"


def dataschema_of(kind: EventType) -> str:
    """The URI of version 1 of the schema of this type's data; `docs/schemas` holds it."""
    return f"{SCHEMA_BASE}{kind.value.removeprefix(TYPE_PREFIX)}/1"


def attributes_of(data: EventData) -> dict[str, str]:
    """The extension attributes that repeat what stands in the data, for brokers and for logs."""
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
