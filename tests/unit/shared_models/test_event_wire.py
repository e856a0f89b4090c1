"""Each thing that the `cloudevents` library gets wrong by itself (2.2.0), shown, and that our codec does not."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_http_event,
    to_binary_event,
)
from cloudevents.core.v1.event import CloudEvent as LibraryEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_models.errors import MalformedBody
from shared_models.events import STRUCTURED, CloudEvent, parse_http

GOOD: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
JSON = {"content-type": "application/json"}
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def binary(**changed: str | None) -> dict[str, str]:
    told = {f"ce-{name}": value for name, value in (GOOD | changed).items() if value is not None}
    return told | JSON


def structured(**changed: Any) -> bytes:
    return orjson.dumps(GOOD | changed)


@pytest.mark.parametrize("name", ["id", "specversion"])
def test_what_is_missing_is_not_invented(name: str) -> None:
    headers = binary(**{name: None})
    assert from_http_event(HTTPMessage(headers, b"{}")).get_attributes()[name]
    with pytest.raises(MalformedBody, match=name):
        parse_http(headers, b"{}")


def test_a_time_that_nobody_gave_is_not_made_up_on_either_way() -> None:
    assert from_http_event(HTTPMessage(binary(), b"{}")).get_time() is not None
    event = parse_http(binary(), b"{}")
    assert event.time is None
    assert "ce-time" not in event.to_binary()[0]
    assert "time" not in json.loads(CloudEvent(id="1", source="/s", type="t").to_structured())


def test_a_content_type_is_always_sent() -> None:
    assert "content-type" not in to_binary_event(LibraryEvent(dict(GOOD), {"a": 1})).headers
    headers, _ = CloudEvent(id="1", source="/s", type="t", data={"a": 1}).to_binary()
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("data", [[1, "ä"], "text", 1, 1.5, True, {"a": [None]}, []])
def test_every_json_value_is_sent_as_json(data: Any) -> None:
    assert to_binary_event(LibraryEvent(dict(GOOD), [1, "ä"])).body == "[1, 'ä']".encode()  # type: ignore[arg-type]
    event = CloudEvent(id="1", source="/s", type="t", data=data)
    headers, body = event.to_binary()
    assert json.loads(body) == data
    assert parse_http(headers, body).data == data
    assert parse_http({"content-type": STRUCTURED}, event.to_structured()).data == data


def test_data_that_is_no_json_is_not_taken_for_text() -> None:
    assert from_http_event(HTTPMessage(binary(), b"{no json")).get_data() == "{no json"
    with pytest.raises(MalformedBody, match="JSON"):
        parse_http(binary(), b"{no json")


def test_a_json_body_with_the_right_names_is_no_event() -> None:
    assert from_http_event(HTTPMessage(JSON, structured())).get_id() == "1"
    with pytest.raises(MalformedBody):
        parse_http(JSON, structured())


@pytest.mark.parametrize(
    ("headers", "body", "leaks"),
    [
        ({"content-type": "application/cloudevents-batch+json"}, b"[]", AttributeError),
        (binary(time="yesterday"), b"{}", ValueError),
        ({"content-type": STRUCTURED}, b"{", json.JSONDecodeError),
        ({"content-type": STRUCTURED}, b"\xff", UnicodeDecodeError),
    ],
)
def test_every_error_is_one_of_ours(headers: dict[str, str], body: bytes, leaks: type[Exception]) -> None:
    with pytest.raises(leaks):
        from_http_event(HTTPMessage(headers, body))
    with pytest.raises(MalformedBody):
        parse_http(headers, body)


def test_what_a_caller_gives_is_not_changed() -> None:
    given = {name: value for name, value in GOOD.items() if name != "id"}
    LibraryEvent(given)
    assert "id" in given
    headers, extensions = binary(), {"a": "1"}
    parse_http(headers, b"{}")
    assert headers == binary()
    CloudEvent(id="1", source="/s", type="t", extensions=extensions).to_binary()
    assert extensions == {"a": "1"}


def test_integers_and_booleans_are_the_same_in_both_modes() -> None:
    body = structured(n=3, yes=True, no=False)
    assert from_http_event(HTTPMessage({"content-type": STRUCTURED}, body)).get_extension("n") == 3
    in_structured = parse_http({"content-type": STRUCTURED}, body)
    in_binary = parse_http(binary(n="3", yes="true", no="false"), b"")
    assert in_structured.extensions == in_binary.extensions == {"n": "3", "yes": "true", "no": "false"}


def test_a_time_without_a_zone_is_refused_and_ours_ends_in_z() -> None:
    for headers, body in (
        (binary(time="2026-11-01T12:00:00"), b"{}"),
        ({"content-type": STRUCTURED}, structured(time="2026-11-01T12:00:00")),
    ):
        with pytest.raises(MalformedBody, match="time"):
            parse_http(headers, body)
    event = CloudEvent(id="1", source="/s", type="t", time=NOW)
    assert event.to_binary()[0]["ce-time"] == "2026-11-01T12:00:00Z"
    assert json.loads(event.to_structured())["time"] == "2026-11-01T12:00:00Z"


BAD_TIMES = [
    "2026-13-01T00:00:00Z",
    "2026-11-31T00:00:00Z",
    "2026-11-01T24:00:00Z",
    "2026-11-01T12:00:60Z",
    "2026-11-01",
]


@pytest.mark.parametrize(
    "time", [*BAD_TIMES, "2026-11-01 12:00:00Z", "2026-W44-7T12:00:00Z", "0000-01-01T00:00:00Z", ""]
)
def test_a_time_that_there_is_not_is_refused_in_both_modes(time: str) -> None:
    with pytest.raises(MalformedBody):
        parse_http(binary(time=time), b"{}")
    with pytest.raises(MalformedBody):
        parse_http({"content-type": STRUCTURED}, structured(time=time))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject", "  "),
        ("subject", "a\x00b"),
        ("id", "a\nb"),
        ("x", "\x7f"),
        ("dataschema", "no/absolute/address"),
        ("specversion", "1.0.2"),
        ("datacontenttype", "text/plain"),
        ("datacontenttype", "application/xml"),
        ("Upper", "x"),
        ("under_score", "x"),
        ("data_", "x"),
    ],
)
def test_malformed_attributes_are_refused_and_their_values_not_repeated(name: str, value: str) -> None:
    with pytest.raises(MalformedBody) as refused:
        parse_http({"content-type": STRUCTURED}, structured(**{name: value}))
    assert value.strip(" x") == "" or value not in str(refused.value)


@pytest.mark.parametrize("name", ["subject", "time", "dataschema", "id", "source"])
@pytest.mark.parametrize("value", [1, True, [], {}, 1.5])
def test_core_attributes_are_text(name: str, value: Any) -> None:
    with pytest.raises(MalformedBody):
        parse_http({"content-type": STRUCTURED}, structured(**{name: value}))


def test_an_attribute_that_is_null_is_not_there() -> None:
    assert parse_http({"content-type": STRUCTURED}, structured(subject=None, x=None)).extensions == {}


def test_the_type_of_the_data_stands_in_content_type_alone() -> None:
    with pytest.raises(MalformedBody):
        parse_http(binary(datacontenttype="application/json"), b"{}")


def test_the_bytes_that_came_are_handed_on() -> None:
    body = b'{ "b": 1.10,\n "a": 12345678901234567890123 }'
    event = parse_http(binary(), body)
    assert event.data_bytes() == body
    assert event.to_binary()[1] == body
    envelope = orjson.dumps(GOOD, option=orjson.OPT_INDENT_2)
    assert parse_http({"content-type": STRUCTURED}, envelope).to_structured() == envelope


def test_names_that_are_longer_than_they_should_be_are_taken() -> None:
    assert parse_http(binary(**{"x" * 40: "1"}), b"").extensions == {"x" * 40: "1"}


anything = st.text(max_size=12)
core = st.sampled_from([*GOOD, "time", "subject", "dataschema", "datacontenttype", "data", "data_base64"])


@given(
    st.dictionaries(core.map("ce-{}".format) | anything, anything | st.sampled_from(["1.0", "0.3", "%", "%e2%82"])),
    st.sampled_from(["application/json", STRUCTURED, "", "application/cloudevents-batch+json", "text/plain"]),
    st.binary(max_size=40)
    | st.dictionaries(core | anything, anything | st.integers() | st.none()).map(
        lambda value: json.dumps(value).encode()
    ),
)
@settings(max_examples=400)
def test_whatever_comes_is_an_event_or_an_error_of_ours(headers: dict[str, str], kind: str, body: bytes) -> None:
    for given_headers in (headers, binary() | headers):
        try:
            event = parse_http({**given_headers, "content-type": kind}, body)
        except MalformedBody:
            continue
        assert parse_http(*event.to_binary()) == event.model_copy(update={"datacontenttype": "application/json"})


def test_an_older_version_is_read_and_not_upgraded() -> None:
    for event in (
        parse_http(binary(specversion="0.3"), b"{}"),
        parse_http({"content-type": STRUCTURED}, structured(specversion="0.3")),
    ):
        assert event.specversion == "0.3"
        assert event.to_binary()[0]["ce-specversion"] == "0.3"


def test_header_values_are_percent_encoded_as_the_binding_says() -> None:
    event = CloudEvent(id="1", source="/s", type="t", subject='Euro € "50%" ä', extensions={"x": "a b"})
    event = event.model_copy(update={"datacontenttype": "application/json"})
    headers, body = event.to_binary()
    assert headers["ce-subject"] == "Euro%20%E2%82%AC%20%2250%25%22%20%C3%A4"
    assert headers["ce-x"] == "a%20b"
    assert parse_http(headers, body) == event
