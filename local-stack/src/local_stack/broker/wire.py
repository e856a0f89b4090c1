"""Events as the broker carries them: attributes as text and the data's own bytes, which are never written anew.

Source: CloudEvents 1.0 (0.3 passes unchanged), HTTP protocol binding and JSON event format."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

import orjson

MAX_EVENT_BYTES = 1024 * 1024
STRUCTURED = "application/cloudevents+json"
REQUIRED = ("id", "source", "type", "specversion")
_NAME = re.compile(r"[a-z0-9]+")
_URI = re.compile(r"[^\s\"<>\\^`{|}]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ENCODED = re.compile(r"[^!#$&-~]")
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_BLANKS = re.compile(r"[ \t\n\r]*")
_JSON = re.compile(r"(application|text)/([^;]+\+)?json\s*(;|$)", re.IGNORECASE)

type RawHeaders = Iterable[tuple[bytes, bytes]]


class NotAnEvent(Exception):
    """No valid CloudEvent; the text says why."""


@dataclass(slots=True)
class Event:
    """`attributes`: all of them as text, `datacontenttype` included. `data`: the bytes as they came."""

    attributes: dict[str, str]
    data: bytes
    _headers: dict[str, str] | None = field(default=None, compare=False, repr=False)

    @property
    def type(self) -> str:
        return self.attributes["type"]

    def headers(self) -> dict[str, str]:
        """The headers of the binary content mode; not to be changed."""
        if self._headers is not None:
            return self._headers
        headers: dict[str, str] = {}
        for name, value in self.attributes.items():
            if name == "datacontenttype":
                headers["content-type"] = value
            else:
                headers[f"ce-{name}"] = quote(value, safe=_SAFE) if _ENCODED.search(value) else value
        self._headers = headers
        return headers

    def with_extensions(self, extensions: dict[str, str]) -> "Event":
        return Event(self.attributes | extensions, self.data)


def parse(headers: RawHeaders, body: bytes) -> Event:
    """Read an event in binary or structured mode; header names in lower case. Raises NotAnEvent."""
    attributes: dict[str, str] = {}
    content_type = ""
    for name, value in headers:
        if name.startswith(b"ce-"):
            _add(attributes, name[3:].decode("latin-1"), _header_text(value))
        elif name == b"content-type":
            content_type = value.decode("latin-1")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == STRUCTURED:
        return _structured(body)
    if media_type.startswith("application/cloudevents"):
        raise NotAnEvent(f"{media_type} is not accepted: neither batches nor other formats than JSON")
    if "datacontenttype" in attributes:
        raise NotAnEvent("datacontenttype travels as Content-Type in binary mode")
    if content_type:
        attributes["datacontenttype"] = content_type
    check(attributes)
    return Event(attributes, body)


def check(attributes: dict[str, str]) -> None:
    """Raises NotAnEvent for a missing or malformed attribute."""
    for name in REQUIRED:
        if not attributes.get(name):
            raise NotAnEvent(f"{name} is missing")
    if attributes["specversion"] not in ("1.0", "0.3"):
        raise NotAnEvent("specversion is neither 1.0 nor 0.3")
    for name, value in attributes.items():
        if not _NAME.fullmatch(name):
            raise NotAnEvent("names of attributes have lower-case letters and digits only")
        if _UNPRINTABLE.search(value):
            raise NotAnEvent(f"{name} holds control characters")
    for name in ("source", "dataschema", "schemaurl"):
        if name in attributes and not _URI.fullmatch(attributes[name]):
            raise NotAnEvent(f"{name} is no URI")
    if attributes.get("subject") == "":
        raise NotAnEvent("subject is empty")
    if "time" in attributes and not _is_time(attributes["time"]):
        raise NotAnEvent("time is no RFC 3339 timestamp")


def _is_time(text: str) -> bool:
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _header_text(value: bytes) -> str:
    try:
        text = value.decode("ascii")
        return unquote(text, errors="strict") if "%" in text else text
    except UnicodeDecodeError as exc:
        raise NotAnEvent("attributes in headers are percent-encoded UTF-8") from exc


def _structured(body: bytes) -> Event:
    attributes: dict[str, str] = {}
    data: tuple[Any, str] | None = None
    encoded: Any = None
    for name, value, raw in _members(body):
        if name == "data":
            data = (value, raw)
        elif name == "data_base64":
            encoded = value
        elif value is not None:
            _add(attributes, name, _text(name, value))
    check(attributes)
    if encoded is not None:
        if data is not None:
            raise NotAnEvent("data and data_base64 exclude each other")
        return Event(attributes, _decoded(encoded))
    return _with_json_data(attributes, data)


def _with_json_data(attributes: dict[str, str], data: tuple[Any, str] | None) -> Event:
    if data is None:
        return Event(attributes, b"")
    value, raw = data
    if attributes.pop("datacontentencoding", "") == "base64":  # of version 0.3
        return Event(attributes, _decoded(value))
    if isinstance(value, str) and not _JSON.match(attributes.setdefault("datacontenttype", "application/json")):
        return Event(attributes, value.encode())
    attributes.setdefault("datacontenttype", "application/json")
    return Event(attributes, raw.encode())


def _decoded(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError) as exc:
        raise NotAnEvent("the data is not base64") from exc


def _members(body: bytes) -> Iterator[tuple[str, Any, str]]:
    """The members of a JSON object: name, value, and the value's own text. Raises NotAnEvent."""
    try:
        orjson.loads(body)
        text = body.decode()
        at = _after(text, _skip(text, 0), "{")
        while text[at] != "}":
            if text[at] != '"':
                raise ValueError(at)
            name, at = _DECODER.raw_decode(text, at)
            start = _after(text, _skip(text, at), ":")
            value, at = _DECODER.raw_decode(text, start)
            yield name, value, text[start:at]
            at = _skip(text, at)
            if text[at] == ",":
                at = _skip(text, at + 1)
    except (ValueError, IndexError, RecursionError) as exc:
        raise NotAnEvent("a structured event is one JSON object") from exc


_DECODER = json.JSONDecoder()


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _after(text: str, at: int, expected: str) -> int:
    if text[at] != expected:
        raise ValueError(at)
    return _skip(text, at + 1)


def _add(attributes: dict[str, str], name: str, value: str) -> None:
    if name in attributes:
        raise NotAnEvent("an attribute is given twice")
    attributes[name] = value


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise NotAnEvent(f"{name} is neither text nor an integer nor a boolean" if _NAME.fullmatch(name) else "a bad name")
