"""CloudEvents over HTTP: a strict check, behind which the `cloudevents` library reads and writes the messages.

By itself the library invents a missing id, time and version, takes JSON that cannot be read for text, and any JSON object
for an event. So what it gets is checked before, and the data is ours to read and write.
Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import orjson
from cloudevents.core.base import BaseCloudEvent, EventFactory
from cloudevents.core.bindings.common import get_event_factory_for_version
from cloudevents.core.bindings.http import HTTPMessage, from_binary, to_binary, to_structured
from cloudevents.core.exceptions import CloudEventValidationError
from pydantic import JsonValue

from shared_models.errors import MalformedBody, PayloadTooLarge

MAX_EVENT_BYTES = 1024 * 1024
STRUCTURED = "application/cloudevents+json"
VERSIONS = ("1.0", "0.3")
REQUIRED = ("id", "source", "type", "specversion")
CORE = (*REQUIRED, "subject", "time", "dataschema", "datacontenttype")
_NAME = re.compile(r"[a-z0-9]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_JSON = re.compile(r"(?:application|text)/(?:[\w.-]+\+)?json")


@dataclass(frozen=True)
class Wire:
    """An event as it came. `attributes`: core ones and extensions, as text, but `time`. `data` is what `data_bytes` say.

    `envelope`: the whole body in structured mode. In binary mode `data_bytes` are the body."""

    attributes: dict[str, Any]
    data: JsonValue
    data_bytes: bytes | None
    envelope: bytes | None = None


class _Format:
    """The library's way to let others read and write JSON: strictly, and whatever kind of value it is."""

    def read(self, event_factory: EventFactory | None, data: str | bytes) -> BaseCloudEvent:
        raise NotImplementedError("structured events are read where they are checked")

    def write(self, event: BaseCloudEvent) -> bytes:
        attributes = {name: _text(value) for name, value in event.get_attributes().items()}
        data = event.get_data()
        given = {"data": orjson.Fragment(data)} if isinstance(data, bytes) and data else {}
        return orjson.dumps(attributes | given)

    def write_data(self, data: Any, datacontenttype: str | None) -> bytes:
        return data if isinstance(data, bytes) else b""

    def read_data(self, body: bytes, datacontenttype: str | None) -> Any:
        return json_of(body) if body else None

    def get_content_type(self) -> str:
        return STRUCTURED


_FORMAT = _Format()


def read(headers: Mapping[str, str], body: bytes) -> Wire:
    """Read an event in binary or structured mode. Header names in lower case.

    Raises MalformedBody (a missing or malformed attribute, a batch, data that is no JSON), PayloadTooLarge."""
    if len(body) > MAX_EVENT_BYTES:
        raise PayloadTooLarge("An event may have 1 MiB.")
    media_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type.startswith("application/cloudevents-batch"):
        raise MalformedBody("Batches of events are not accepted.")
    if media_type.startswith("application/cloudevents") and media_type != STRUCTURED:
        raise MalformedBody("Only the JSON event format is accepted.")
    try:
        return _read_structured(body) if media_type == STRUCTURED else _read_binary(headers, body)
    except (CloudEventValidationError, ValueError, OverflowError) as exc:
        raise MalformedBody("The event is not a valid CloudEvent.") from exc


def _read_binary(headers: Mapping[str, str], body: bytes) -> Wire:
    taken = {name: value for name, value in headers.items() if name.startswith("ce-")}
    if content_type := headers.get("content-type"):
        taken["content-type"] = content_type
    if "ce-datacontenttype" in taken:
        raise MalformedBody("The type of the data stands in Content-Type.")
    try:
        told = {name[3:]: unquote(value, errors="strict") for name, value in taken.items() if name.startswith("ce-")}
    except UnicodeDecodeError as exc:
        raise MalformedBody("Attributes are percent-encoded UTF-8.") from exc
    _check(told | ({"datacontenttype": taken["content-type"]} if taken.get("content-type") else {}))
    event = from_binary(HTTPMessage(taken, body), _FORMAT, _event)
    data: Any = event.get_data()
    return Wire(event.get_attributes(), data, body or None)


def _read_structured(body: bytes) -> Wire:
    value = json_of(body)
    if not isinstance(value, dict):
        raise MalformedBody("An event is a JSON object.")
    data, encoded = value.pop("data", None), value.pop("data_base64", None)
    data_bytes = None
    if encoded is not None:
        if data is not None or not isinstance(encoded, str):
            raise MalformedBody("data and data_base64 exclude each other.")
        try:
            data_bytes = base64.b64decode(encoded, validate=True)
        except binascii.Error as exc:
            raise MalformedBody("data_base64 is not base64.") from exc
        data = json_of(data_bytes)
    told = {name: _text(given) for name, given in value.items() if given is not None}
    _check(told, not_text=[name for name in CORE if name in value and not isinstance(value[name], str | None)])
    times = {"time": datetime.fromisoformat(told["time"].upper())} if "time" in told else {}
    return Wire(_event(told | times).get_attributes(), data, data_bytes, body)


def _check(told: Mapping[str, str], not_text: list[str] | None = None) -> None:
    """Nothing is missing, nothing malformed. Raises MalformedBody, which names attributes, never values."""
    missing = [name for name in REQUIRED if name not in told]
    if missing:
        raise MalformedBody(f"The event has no {', '.join(missing)}.")
    if not all(_NAME.fullmatch(name) for name in told) or "data" in told:
        raise MalformedBody("Attribute names are made of a-z and 0-9, and none is called data.")
    bad = [name for name, value in told.items() if _CONTROL.search(value) or (name in CORE and not value.strip())]
    bad += not_text or ()
    if told["specversion"] not in VERSIONS:
        bad.append("specversion")
    if "time" in told and not _TIME.fullmatch(told["time"]):
        bad.append("time")
    if "dataschema" in told and not _URI.fullmatch(told["dataschema"]):
        bad.append("dataschema")
    if "datacontenttype" in told and not _JSON.fullmatch(told["datacontenttype"].split(";")[0].strip().lower()):
        bad.append("datacontenttype")
    if bad:
        raise MalformedBody(f"Malformed attributes: {', '.join(sorted(set(bad)))}.")


def _event(attributes: dict[str, Any], data: Any = None) -> BaseCloudEvent:
    """The library's event, without the time that it gives to one that has none."""
    event = get_event_factory_for_version(attributes["specversion"])(dict(attributes), data)
    if "time" not in attributes:
        event.get_attributes().pop("time", None)
    return event


def write_binary(attributes: Mapping[str, Any], data: bytes) -> tuple[dict[str, str], bytes]:
    """(headers, body) of the binary content mode. `data` is JSON; empty: none."""
    message = to_binary(_event(_typed(attributes), data), _FORMAT)
    return message.headers, message.body


def write_structured(attributes: Mapping[str, Any], data: bytes) -> bytes:
    """The body of the structured content mode."""
    return to_structured(_event(_typed(attributes), data), _FORMAT).body


def _typed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A Content-Type is always sent: without one the library sends none, and a receiver guesses."""
    return {"datacontenttype": "application/json", **{n: v for n, v in attributes.items() if v is not None}}


def json_of(body: bytes) -> Any:
    """Raises MalformedBody."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise MalformedBody("The event is not valid JSON.") from exc


def _text(value: Any) -> str:
    """An attribute as it stands in binary mode. Raises MalformedBody for what is no attribute's value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str | int):
        return str(value)
    raise MalformedBody("Attributes are text, integers or booleans.")
