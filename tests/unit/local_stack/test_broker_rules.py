"""What the local broker makes of answers, how long it waits, and how it reads events and manifests."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from local_stack.broker.manifests import Mode, Policy, duration_s, read_manifests
from local_stack.broker.rules import Answer, Failure, Verdict, judge, pause_s
from local_stack.broker.wire import Event, NotAnEvent, parse
from local_stack.problems import LaunchProblem

from tests.support.broker import broker, exact, trigger

EXPONENTIAL = Policy(retry=5, delay_s=0.5)
LINEAR = Policy(retry=5, delay_s=0.5, is_linear=True)
SERVICES = {"receiver": "http://receiver:8080/base"}
CORE = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0"}


@pytest.mark.parametrize(
    ("policy", "mode", "expected"),
    [
        (EXPONENTIAL, Mode.KAFKA, [1.0, 2.0, 4.0, 8.0]),
        (LINEAR, Mode.KAFKA, [0.5, 1.0, 1.5, 2.0]),
        (EXPONENTIAL, Mode.SPEC, [0.5, 1.0, 2.0, 4.0]),
        (LINEAR, Mode.SPEC, [0.0, 0.5, 1.0, 1.5]),
    ],
)
def test_pauses_grow_by_the_policy(policy: Policy, mode: Mode, expected: list[float]) -> None:
    assert [pause_s(policy, retry, Answer(503), mode) for retry in (1, 2, 3, 4)] == expected


def test_a_pause_is_bounded_however_many_retries_there_are() -> None:
    assert pause_s(EXPONENTIAL, 10**6, Answer(), Mode.KAFKA) == 24 * 3600


@pytest.mark.parametrize(
    ("mode", "status", "retry_after", "expected"),
    [
        (Mode.KAFKA, 429, "100", 1.0),
        (Mode.SPEC, 429, "3", 3.0),
        (Mode.SPEC, 503, "100", 10.0),
        (Mode.SPEC, 503, "soon", 0.5),
        (Mode.SPEC, 500, "3", 0.5),
    ],
)
def test_retry_after_counts_by_the_specification_only(
    mode: Mode, status: int, retry_after: str, expected: float
) -> None:
    policy = Policy(delay_s=0.5, retry_after_max_s=10.0)
    assert pause_s(policy, 1, Answer(status, {"retry-after": retry_after}), mode) == expected


def test_every_status_has_its_verdict() -> None:
    for status in range(100, 600):
        if 200 <= status < 300:
            expected = Verdict.DONE
        elif status >= 500 or status in (404, 408, 409, 429):
            expected = Verdict.RETRY
        else:
            expected = Verdict.FAILED
        assert {judge(Answer(status), mode) for mode in Mode} == {expected}, status


def test_no_answer_is_tried_again() -> None:
    assert {judge(Answer(), mode) for mode in Mode} == {Verdict.RETRY}


def test_only_headers_meant_for_it_become_extensions_of_a_dead_letter() -> None:
    headers = {"kne-reason": "r", "kne-two-words": "no", "kne-": "no", "content-type": "text/plain"}
    found = Failure("http://x", Answer(422, headers, b"")).extensions()
    assert found == {"knativeerrordest": "http://x", "knativeerrorcode": "422", "reason": "r"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("PT0.5S", 0.5), ("PT30S", 30), ("PT1M30S", 90), ("PT2H", 7200), ("P1DT1S", 86401), ("PT600S", 600)],
)
def test_durations_are_iso_8601(text: str, expected: float) -> None:
    assert duration_s(text, "x") == expected


@pytest.mark.parametrize("text", ["30s", "PT", "P", "", "PT-1S", "1S", 5, None])
def test_another_duration_is_refused(text: object) -> None:
    with pytest.raises(LaunchProblem, match="is no ISO 8601 duration"):
        duration_s(text, "x")


@given(st.binary(max_size=200), st.dictionaries(st.text("abc123", min_size=1), st.text(min_size=1), max_size=5))
def test_what_is_written_in_binary_mode_is_read_back(data: bytes, extensions: dict[str, str]) -> None:
    event = Event({**extensions, **CORE, "datacontenttype": "application/octet-stream"}, data)
    raw = [(name.encode(), value.encode("ascii")) for name, value in event.headers().items()]
    try:
        assert parse(raw, data) == event
    except NotAnEvent:
        assert any(
            not each.isprintable() or 0x7F <= ord(each) <= 0x9F for value in extensions.values() for each in value
        )


@given(st.text(max_size=50))
def test_whatever_is_said_to_be_a_structured_event_is_read_or_refused(text: str) -> None:
    with pytest.raises(NotAnEvent):
        parse([(b"content-type", b"application/cloudevents+json")], text.encode(errors="replace"))


def spec_of(**spec: Any) -> str:
    wrong = trigger("t", "/in")
    wrong["spec"] |= spec
    return yaml.safe_dump_all([broker(), wrong])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"delivery": {"retry": -1}}, "spec.delivery.retry: -1 is no whole number"),
        ({"delivery": {"retry": True}}, "spec.delivery.retry"),
        ({"delivery": {"backoffPolicy": "none"}}, "spec.delivery.backoffPolicy: 'none'"),
        ({"delivery": {"deadLetterSink": {"url": "x"}}}, "spec.delivery.deadLetterSink: unknown field 'url'"),
        ({"subscriber": {"uri": "/x"}}, "spec.subscriber: needs a ref, or a uri with a host"),
        ({"subscriber": {"ref": {"name": "receiver", "port": 1}}}, "spec.subscriber.ref: unknown field 'port'"),
        ({"filter": {"attribute": {}}}, "spec.filter: unknown field 'attribute'"),
        ({"filters": [{"exact": {}}]}, r"spec.filters\[0\].exact: needs at least one"),
        ({"filters": [exact(type="")]}, r"spec.filters\[0\].exact: an empty text"),
        ({"filters": [{"exact": {"type": 5}}]}, r"spec.filters\[0\].exact.type: 5 is no text"),
    ],
)
def test_a_trigger_that_cannot_be_served_is_refused_with_the_field(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(LaunchProblem, match=f"Trigger t: {words}"):
        read_manifests(spec_of(**spec), SERVICES)


def test_an_address_is_the_services_base_and_the_uri() -> None:
    [config] = read_manifests(yaml.safe_dump_all([broker(), trigger("t", "/in")]), SERVICES)
    assert config.triggers[0].subscriber.url == "http://receiver:8080/in"


def test_an_unknown_field_of_the_brokers_configuration_is_named() -> None:
    wrong = broker()
    wrong["spec"]["config"] = {"kind": "ConfigMap", "nmae": "x"}
    with pytest.raises(LaunchProblem, match=r"spec\.config: unknown field 'nmae'"):
        read_manifests(yaml.safe_dump(wrong), SERVICES)


@pytest.mark.parametrize("wrong", ["[1]", "kind: Pod\napiVersion: v1", "kind: Trigger\napiVersion: v1"])
def test_other_objects_are_refused(wrong: str) -> None:
    with pytest.raises(LaunchProblem):
        read_manifests(wrong, SERVICES)
