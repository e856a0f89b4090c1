"""Good and bad CloudEvents as they travel, for whatever takes events."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from shared_models.ids import new_id

STRUCTURED = {"content-type": "application/cloudevents+json"}
JSON = "application/json"


@dataclass(frozen=True)
class Sent:
    """One request. `name` is read in the test report."""

    name: str
    headers: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Data:
    """Data of an event. `in_json`: how a structured event writes it."""

    name: str
    content_type: str
    raw: bytes
    in_json: str

    def __str__(self) -> str:
        return self.name


def attributes(version: str = "1.0", **more: str) -> dict[str, str]:
    found = {"id": str(new_id()), "source": "/conformance", "type": "com.example.happened", "specversion": version}
    return found | more


def binary(given: dict[str, str], body: bytes = b'{"a":1}', content_type: str = JSON) -> tuple[dict[str, str], bytes]:
    return {f"ce-{name}": value for name, value in given.items()} | {"content-type": content_type}, body


def structured(given: dict[str, str], data: str = '{"a":1}') -> tuple[dict[str, str], bytes]:
    members = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in given.items()]
    return dict(STRUCTURED), ("{" + ", ".join([*members, f'"data": {data}']) + "}").encode()


def good_events() -> list[Sent]:
    charset = {"content-type": "application/cloudevents+json; charset=utf-8"}
    in_bytes = json.dumps({**attributes(), "data_base64": base64.b64encode(b"\x00\xff").decode()}).encode()
    return [
        Sent("1.0 binary", *binary(attributes())),
        Sent("1.0 binary with a charset", *binary(attributes(), content_type="application/json; charset=utf-8")),
        Sent("1.0 structured", *structured(attributes())),
        Sent("1.0 structured with a charset", charset, structured(attributes())[1]),
        Sent("1.0 structured with bytes", dict(STRUCTURED), in_bytes),
        Sent("0.3 binary", *binary(attributes("0.3"))),
        Sent("0.3 structured", *structured(attributes("0.3"))),
        Sent("all attributes", *binary(full_attributes())),
        Sent("no data", {f"ce-{name}": value for name, value in attributes().items()}, b""),
    ]


def full_attributes() -> dict[str, str]:
    return attributes(
        subject="request/1",
        time="2026-03-01T10:00:00.123Z",
        dataschema="https://example.com/schema/1",
        partitionkey="k1",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def bad_events(given: Mapping[str, str] | None = None, data: str = '{"a":1}') -> list[Sent]:
    """Each must be refused with 400: nothing that is missing is invented. `given`, `data`: a good event to make them from."""
    good = dict(given or attributes())
    raw = data.encode()
    found = [
        Sent("unknown version binary", *binary(good | {"specversion": "9000.1"}, raw)),
        Sent("unknown version structured", *structured(good | {"specversion": "9000.1"}, data)),
        Sent("time without a zone", *binary(good | {"time": "2026-03-01T10:00:00"}, raw)),
        Sent("time in words", *structured(good | {"time": "yesterday"}, data)),
        Sent("day that does not exist", *binary(good | {"time": "2026-02-30T10:00:00Z"}, raw)),
        Sent("attribute in capitals", *structured(good | {"sessionID": "1"}, data)),
        Sent("attribute with a dash", *structured(good | {"session-id": "1"}, data)),
        Sent("empty id binary", *binary(good | {"id": ""}, raw)),
        Sent("empty type structured", *structured(good | {"type": ""}, data)),
        Sent("batch", {"content-type": "application/cloudevents-batch+json"}, b"[]"),
        Sent("structured but no JSON", dict(STRUCTURED), b'{"id": "1", '),
        Sent("structured but a list", dict(STRUCTURED), b"[]"),
        Sent("structured but empty", dict(STRUCTURED), b""),
        Sent("not UTF-8", dict(STRUCTURED), b'{"id": "\xff"}'),
        Sent("nested ten thousand deep", *structured(good, "[" * 10_000 + "]" * 10_000)),
        Sent("plain JSON that looks like an event", {"content-type": JSON}, json.dumps(good).encode()),
        Sent("attribute that is an object", dict(STRUCTURED), json.dumps({**good, "x": {"y": 1}}).encode()),
        Sent(
            "data given twice",
            dict(STRUCTURED),
            json.dumps({**good, "data": 1, "data_base64": "AA=="}).encode(),
        ),
        Sent("bytes that are not base64", dict(STRUCTURED), json.dumps({**good, "data_base64": "*"}).encode()),
        Sent("broken percent code", *binary(good | {"subject": "%ff"}, raw)),
        Sent("control character", *binary(good | {"subject": "%00"}, raw)),
    ]
    for name in ("id", "source", "type", "specversion"):
        rest = {key: value for key, value in good.items() if key != name}
        found += [Sent(f"no {name} binary", *binary(rest, raw)), Sent(f"no {name} structured", *structured(rest, data))]
    return found


EMOJI = "Grüße 👋 from İstanbul"
ALL_DATA = [
    Data("US-ASCII text", "text/plain; charset=us-ascii", b"plain words", '"plain words"'),
    Data("UTF-8 text with an emoji", "text/plain; charset=utf-8", EMOJI.encode(), json.dumps(EMOJI)),
    Data("JSON text", JSON, b'"words"', '"words"'),
    Data("JSON object", JSON, b'{"a": 1.0, "b":1e2,  "c":"\\u00e9"}', '{"a": 1.0, "b":1e2,  "c":"\\u00e9"}'),
    Data("JSON number that no float holds", JSON, b"12345678901234567890.10", "12345678901234567890.10"),
    Data("JSON with a charset", f"{JSON}; charset=utf-8", b"[1,  2]", "[1,  2]"),
]
JSON_IN_AN_EXTENSION = '{"key": "a \\"quoted\\" 100% value"}'
