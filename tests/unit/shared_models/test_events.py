"""The CloudEvents codec: both content modes round-trip, and nothing missing is invented."""

from datetime import UTC, datetime

import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary_event, from_structured_event
from hypothesis import given
from hypothesis import strategies as st
from shared_models.enums import IntegrationType, ServiceName
from shared_models.errors import MalformedBody, PayloadTooLarge
from shared_models.events import STRUCTURED, CloudEvent, EventBuilder, EventType, parse_http
from shared_models.ids import new_id
from shared_models.schemas import NormalizedRequest, Person

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
GOOD = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"a": 1}}

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).map(str.strip).filter(bool)
names = st.from_regex(r"x[a-z0-9]{0,10}", fullmatch=True)
events = st.builds(
    CloudEvent,
    id=texts,
    source=texts,
    type=texts,
    subject=st.none() | texts,
    time=st.none() | st.just(NOW),
    datacontenttype=st.just("application/json"),
    extensions=st.dictionaries(names, texts, max_size=4),
    data=st.dictionaries(texts, st.integers(-(2**50), 2**50) | texts | st.booleans(), max_size=4),
)


@given(events)
def test_an_event_survives_binary_mode(event: CloudEvent) -> None:
    headers, body = event.to_binary()
    assert parse_http(headers, body) == event


@given(events)
def test_an_event_survives_structured_mode(event: CloudEvent) -> None:
    assert parse_http({"content-type": STRUCTURED + "; charset=utf-8"}, event.to_structured()) == event


@given(events)
def test_the_cloudevents_library_reads_the_same_event(event: CloudEvent) -> None:
    headers, body = event.to_binary()
    binary = from_binary_event(HTTPMessage(headers, body))
    structured = from_structured_event(HTTPMessage({"content-type": STRUCTURED}, event.to_structured()))
    for other in (binary, structured):
        assert other.get_id() == event.id
        assert other.get_source() == event.source
        assert other.get_type() == event.type
        assert other.get_data() == event.data
        assert {name: other.get_extension(name) for name in event.extensions} == event.extensions


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_or_empty_attribute_is_refused(name: str, value: str | None) -> None:
    attributes = (
        {**GOOD, name: value} if value is not None else {key: item for key, item in GOOD.items() if key != name}
    )
    with pytest.raises(MalformedBody):
        parse_http({"content-type": STRUCTURED}, orjson.dumps(attributes))
    headers = {f"ce-{key}": str(item) for key, item in attributes.items() if key != "data"}
    with pytest.raises(MalformedBody):
        parse_http({**headers, "content-type": "application/json"}, b"{}")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (STRUCTURED, b"not json"),
        (STRUCTURED, b"[]"),
        (STRUCTURED, b"\xff\xfe"),
        (STRUCTURED, orjson.dumps({**GOOD, "specversion": "9000.1"})),
        (STRUCTURED, orjson.dumps({**GOOD, "time": "yesterday"})),
        (STRUCTURED, orjson.dumps({**GOOD, "time": "2026-11-01T12:00:00"})),
        (STRUCTURED, orjson.dumps({**GOOD, "time": 5})),
        (STRUCTURED, orjson.dumps({**GOOD, "id": 5})),
        (STRUCTURED, orjson.dumps({**GOOD, "Bad": "x"})),
        (STRUCTURED, orjson.dumps({**GOOD, "s-p": "x"})),
        (STRUCTURED, orjson.dumps({**GOOD, "ext": {"nested": 1}})),
        (STRUCTURED, orjson.dumps({**GOOD, "data_base64": "e30="})),
        (STRUCTURED, b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"\\ud800"}'),
        ("application/cloudevents-batch+json", orjson.dumps([GOOD])),
        ("application/cloudevents+avro", b"x"),
        ("application/json", orjson.dumps(GOOD)),
    ],
)
def test_what_is_no_event_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse_http({"content-type": content_type}, body)


def test_an_attribute_that_is_no_utf_8_is_refused() -> None:
    headers = {f"ce-{key}": str(item) for key, item in GOOD.items() if key != "data"}
    with pytest.raises(MalformedBody):
        parse_http({**headers, "ce-subject": "%ff", "content-type": "application/json"}, b"{}")


def test_base64_data_is_read() -> None:
    body = orjson.dumps({key: value for key, value in GOOD.items() if key != "data"} | {"data_base64": "eyJhIjoxfQ=="})
    assert parse_http({"content-type": STRUCTURED}, body).data == {"a": 1}


def test_integer_and_boolean_extensions_become_text() -> None:
    event = parse_http({"content-type": STRUCTURED}, orjson.dumps({**GOOD, "n": 3, "b": True}))
    assert event.extensions == {"n": "3", "b": "true"}


def test_an_event_over_a_mebibyte_is_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        parse_http({"content-type": STRUCTURED}, b" " * (1024 * 1024 + 1))


def test_a_built_event_names_its_request_and_can_be_repeated_with_the_same_id() -> None:
    request = NormalizedRequest(
        request_id=new_id(),
        session_id=new_id(),
        sequence=3,
        person=Person(user_id=new_id(), email="ana@example.com"),
        integration_type=IntegrationType.WEB,
        content="hello",
        conversation_key="k",
        created_at=NOW,
        deadline_at=NOW,
    )
    builder = EventBuilder(ServiceName.REQUEST_MANAGER)
    first, second = builder.request_created(request), builder.request_created(request)
    assert first.id == second.id
    assert first.type == EventType.REQUEST_CREATED
    assert first.source == "/self-service-agent/request-manager"
    assert first.subject == f"request/{request.request_id}"
    assert first.extensions["partitionkey"] == str(request.session_id)
    assert first.extensions["sequence"] == "3"
    assert NormalizedRequest.model_validate(first.data) == request
