"""Which trigger gets which event: routing, `exact` filters, the older attribute filters, and what is refused by name."""

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
import yaml
from local_stack.broker.filters import DIALECTS
from local_stack.broker.manifests import read_manifests
from local_stack.problems import LaunchProblem

from tests.conformance.conftest import Start
from tests.support.broker import Receiver, broker, exact, trigger

SERVICES = {"receiver": "http://receiver"}


@dataclass(frozen=True)
class Case:
    """`filters`: the triggers t1, t2, ... ; `expected`: those that get the event."""

    name: str
    filters: list[dict[str, Any]]
    expected: set[str]
    sent: dict[str, str] = field(default_factory=lambda: {"type": "type1"})

    def __str__(self) -> str:
        return self.name


def legacy(**attributes: str) -> dict[str, Any]:
    return {"filter": {"attributes": attributes}}


def by_exact(*filters: dict[str, str]) -> dict[str, Any]:
    return {"filters": [exact(**each) for each in filters]}


ROUTING = [
    Case("a trigger without a filter gets it", [{}], {"t1"}),
    Case("a filter that misses", [by_exact({"type": "type2"})], set()),
    Case("a filter that hits", [by_exact({"type": "type1"})], {"t1"}),
    Case("two triggers with the same filter both", [by_exact({"type": "type1"})] * 2, {"t1", "t2"}),
    Case("only one of two matches", [by_exact({"type": "type1"}), by_exact({"type": "type2"})], {"t1"}),
    Case("two without a filter both", [{}, {}], {"t1", "t2"}),
]
FILTERS = [
    Case("all attributes of one exact must match", [by_exact({"type": "type1", "source": "/other"})], set()),
    Case("all filters of the array must match", [by_exact({"type": "type1"}, {"source": "/other"})], set()),
    Case("several exact filters that all match", [by_exact({"type": "type1"}, {"source": "/tests"})], {"t1"}),
    Case("overlapping triggers", [by_exact({"type": "type1"}), by_exact({"source": "/tests"}), {}], {"t1", "t2", "t3"}),
    Case("an attribute that is missing does not match", [by_exact({"myext": "a"})], set()),
    Case("an extension", [by_exact({"myext": "a"})], {"t1"}, {"myext": "a"}),
    Case("the case of a value counts", [by_exact({"type": "TYPE1"})], set()),
    Case("no part of a value is enough", [by_exact({"type": "type"})], set()),
    Case("an empty array leaves the older filter", [{"filters": [], **legacy(type="type2")}], set()),
    Case("an array replaces the older filter", [{**by_exact({"type": "type1"}), **legacy(type="type2")}], {"t1"}),
    Case("the type of the data", [by_exact({"datacontenttype": "application/json"})], {"t1"}),
]
EVERY = {
    "type": "type1",
    "subject": "s",
    "time": "2026-03-01T10:00:00Z",
    "dataschema": "https://example.com/s",
    "myext": "e",
}
LEGACY = [
    Case("older: one attribute", [legacy(type="type1"), legacy(type="type2")], {"t1"}),
    Case("older: empty text is any value", [legacy(type=""), legacy(myext="")], {"t1"}),
    Case("older: all attributes", [legacy(**EVERY, source="/tests", specversion="1.0")], {"t1"}, EVERY),
    Case("older: nothing given is everything", [legacy()], {"t1"}),
]


@pytest.mark.parametrize("case", ROUTING + FILTERS + LEGACY, ids=str)
async def test_an_event_goes_to_the_triggers_that_match(start: Start, receiver: Receiver, case: Case) -> None:
    objects = [trigger(f"t{n}", f"/t{n}", **spec) for n, spec in enumerate(case.filters, start=1)]
    async with start([broker(), *objects]) as running:
        await running.send(**case.sent)
        await running.idle()
        assert {received.path.strip("/") for received in receiver.received} == case.expected


async def test_the_whole_matrix_of_types_sources_and_extensions(start: Start, receiver: Receiver) -> None:
    choices = {"type": ("type1", "type2", ""), "source": ("/one", "/two", ""), "myext": ("a", "b", "")}
    wanted = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
    sent = [dict(zip(choices, values, strict=True)) for values in product(*(each[:2] for each in choices.values()))]
    triggers = [trigger(f"t{n}", f"/t{n}", **legacy(**filter_)) for n, filter_ in enumerate(wanted)]
    async with start([broker(), *triggers]) as running:
        ids = [await running.send(**event) for event in sent]
        await running.idle()
    for n, filter_ in enumerate(wanted):
        expected = [
            event_id
            for event_id, event in zip(ids, sent, strict=True)
            if all(value in ("", event[name]) for name, value in filter_.items())
        ]
        assert sorted(receiver.ids(f"/t{n}")) == sorted(expected)


VALID_NAMES = [
    *("type", "source", "id", "specversion", "subject", "time", "dataschema", "datacontenttype"),
    *("aaa", "c1d2e3", "a" * 20),
]
INVALID_NAMES = ["SOURCE", "Source", "souRce", "s pace s", "s_pace_s", "s-pace-s", "123", "👋", "s.", ""]


@pytest.mark.parametrize("name", VALID_NAMES)
def test_a_valid_name_of_an_attribute_is_taken(name: str) -> None:
    for spec in ({"filter": {"attributes": {name: "x"}}}, {"filters": [{"exact": {name: "x"}}]}):
        [config] = read_manifests(yaml.safe_dump_all([broker(), trigger("t", "/t", **spec)]), SERVICES)
        assert config.triggers[0].filter.admits({name: "x"})


@pytest.mark.parametrize("name", INVALID_NAMES)
def test_an_invalid_name_of_an_attribute_is_refused(name: str) -> None:
    for spec in ({"filter": {"attributes": {name: "x"}}}, {"filters": [{"exact": {name: "x"}}]}):
        with pytest.raises(LaunchProblem, match="is no name of an attribute"):
            read_manifests(yaml.safe_dump_all([broker(), trigger("t", "/t", **spec)]), SERVICES)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_another_dialect_is_refused_by_its_name(dialect: str) -> None:
    spec: dict[str, Any] = {"filters": [exact(type="a"), {dialect: {"type": "a"}}]}
    with pytest.raises(LaunchProblem, match=rf"Trigger t: spec.filters\[1\].*'{dialect}'"):
        read_manifests(yaml.safe_dump_all([broker(), trigger("t", "/t", **spec)]), SERVICES)


def test_several_dialects_in_one_filter_are_refused() -> None:
    spec: dict[str, Any] = {"filters": [{"exact": {"type": "a"}, "prefix": {"type": "a"}}]}
    with pytest.raises(LaunchProblem, match="'prefix'"):
        read_manifests(yaml.safe_dump_all([broker(), trigger("t", "/t", **spec)]), SERVICES)
