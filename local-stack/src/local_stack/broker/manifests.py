"""The Broker and Trigger objects that the chart ships, read as strictly as the API server would: an unknown field is named.

Source: https://knative.dev/docs/eventing/ (Broker, Trigger, EventPolicy) and the Kafka broker's annotations."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urljoin, urlsplit

import yaml

from local_stack.broker.filters import Filter, read_filter
from local_stack.problems import LaunchProblem

API_GROUPS = ("eventing.knative.dev/v1", "eventing.knative.dev/v1alpha1")
CLASS_ANNOTATION = "eventing.knative.dev/broker.class"
ORDER_ANNOTATION = "kafka.eventing.knative.dev/delivery.order"
KAFKA_TIMEOUT_S = 600.0
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")

TOP = {"apiVersion", "kind", "metadata", "spec"}
METADATA = {"name", "namespace", "annotations", "labels"}
REF = {"apiVersion", "kind", "name", "namespace"}
DESTINATION = {"ref", "uri"}
DELIVERY = {"retry", "backoffPolicy", "backoffDelay", "timeout", "retryAfterMax", "deadLetterSink"}
SPEC = {
    "Broker": {"config", "delivery"},
    "Trigger": {"broker", "filter", "filters", "delivery", "subscriber"},
    "EventPolicy": {"to", "from", "filters"},
}

type Object = dict[str, Any]


class Mode(StrEnum):
    """`kafka`: as Knative's broker for Kafka behaves; `spec`: by the plain specification, as the Go dispatcher does."""

    KAFKA = "kafka"
    SPEC = "spec"


@dataclass(frozen=True)
class Destination:
    """`name` of the Service that it points to, or empty for a plain address."""

    url: str
    name: str = ""


@dataclass(frozen=True)
class Policy:
    """How often and how long to try. `retry_after_max_s` None: Retry-After is ignored."""

    retry: int = 0
    is_linear: bool = False
    delay_s: float = 1.0
    timeout_s: float = KAFKA_TIMEOUT_S
    retry_after_max_s: float | None = None
    dead_letter: Destination | None = None


@dataclass(frozen=True)
class Trigger:
    name: str
    namespace: str
    filter: Filter
    policy: Policy
    subscriber: Destination
    is_ordered: bool


@dataclass(frozen=True)
class EventPolicy:
    """Callers (`subjects`, each with an optional * at its end) that may send what `filter` admits."""

    subjects: tuple[str, ...]
    filter: Filter

    def admits(self, subject: str, attributes: Mapping[str, str]) -> bool:
        return any(_is_subject(pattern, subject) for pattern in self.subjects) and self.filter.admits(attributes)


@dataclass(frozen=True)
class BrokerConfig:
    name: str
    namespace: str
    triggers: tuple[Trigger, ...]
    policies: tuple[EventPolicy, ...] = ()

    @property
    def path(self) -> str:
        return f"/{self.namespace}/{self.name}"


def read_manifests(text: str, services: Mapping[str, str], mode: Mode = Mode.KAFKA) -> list[BrokerConfig]:
    """`services`: the base URL of each Service by name. Raises LaunchProblem that names the object and the field."""
    documents = [document for document in yaml.safe_load_all(text) if document]
    objects = [each for each in documents if not _is_config_map(each)]  # Kafka's own settings
    for each in objects:
        _check_top(each)
    brokers = [each for each in objects if each["kind"] == "Broker"]
    names = {(_namespace(each), each["metadata"]["name"]) for each in brokers}
    for each in objects:
        if each["kind"] == "Trigger" and (_namespace(each), each["spec"].get("broker")) not in names:
            raise LaunchProblem(f"{_title(each)}: spec.broker names no Broker of its namespace")
    return [_broker(each, objects, services, mode) for each in brokers]


def duration_s(text: object, where: str) -> float:
    """Seconds of an ISO 8601 duration such as PT0.5S. Raises LaunchProblem."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None or not any(found.groups()):
        raise LaunchProblem(f"{where}: {text!r} is no ISO 8601 duration such as PT0.5S")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _broker(broker: Object, objects: list[Object], services: Mapping[str, str], mode: Mode) -> BrokerConfig:
    annotations = broker["metadata"].get("annotations", {})
    if annotations.get(CLASS_ANNOTATION, "Kafka") not in ("Kafka", "MTChannelBasedBroker"):
        raise LaunchProblem(f"{_title(broker)}: {CLASS_ANNOTATION} is neither Kafka nor MTChannelBasedBroker")
    _only(broker["spec"].get("config", {}), REF, f"{_title(broker)}: spec.config")
    given = broker["spec"].get("delivery", {})
    _policy(given, _title(broker), services)
    name, namespace = broker["metadata"]["name"], _namespace(broker)
    mine = [each for each in objects if each["kind"] == "Trigger" and each["spec"]["broker"] == name]
    triggers = [_trigger(each, given, services, mode) for each in mine if _namespace(each) == namespace]
    policies = [_event_policy(each) for each in objects if each["kind"] == "EventPolicy" and _is_for(each, broker)]
    return BrokerConfig(name, namespace, tuple(triggers), tuple(policies))


def _trigger(trigger: Object, of_broker: Object, services: Mapping[str, str], mode: Mode) -> Trigger:
    title, spec = _title(trigger), trigger["spec"]
    own = spec.get("delivery", {})
    _policy(own, title, services)
    # The Kafka broker merges field by field; by the specification one replaces the other.
    merged = of_broker | own if mode is Mode.KAFKA else own or of_broker
    order = trigger["metadata"].get("annotations", {}).get(ORDER_ANNOTATION, "unordered")
    if order not in ("ordered", "unordered"):
        raise LaunchProblem(f"{title}: {ORDER_ANNOTATION} is neither ordered nor unordered")
    if "subscriber" not in spec:
        raise LaunchProblem(f"{title}: spec.subscriber is missing")
    return Trigger(
        name=trigger["metadata"]["name"],
        namespace=_namespace(trigger),
        filter=read_filter(spec, title),
        policy=_policy(merged, title, services),
        subscriber=_destination(spec["subscriber"], f"{title}: spec.subscriber", services),
        is_ordered=order == "ordered",
    )


def _policy(given: Object, title: str, services: Mapping[str, str]) -> Policy:
    where = f"{title}: spec.delivery"
    _only(given, DELIVERY, where)
    retry, backoff = given.get("retry", 0), given.get("backoffPolicy", "exponential")
    if not isinstance(retry, int) or isinstance(retry, bool) or retry < 0:
        raise LaunchProblem(f"{where}.retry: {retry!r} is no whole number from 0")
    if backoff not in ("linear", "exponential"):
        raise LaunchProblem(f"{where}.backoffPolicy: {backoff!r} is neither linear nor exponential")
    sink = given.get("deadLetterSink")
    after = given.get("retryAfterMax")
    return Policy(
        retry=retry,
        is_linear=backoff == "linear",
        delay_s=duration_s(given.get("backoffDelay", "PT1S"), f"{where}.backoffDelay"),
        timeout_s=duration_s(given.get("timeout", "PT600S"), f"{where}.timeout"),
        retry_after_max_s=None if after is None else duration_s(after, f"{where}.retryAfterMax"),
        dead_letter=None if sink is None else _destination(sink, f"{where}.deadLetterSink", services),
    )


def _destination(given: Object, where: str, services: Mapping[str, str]) -> Destination:
    _only(given, DESTINATION, where)
    uri = given.get("uri", "")
    if "ref" not in given:
        if not urlsplit(uri).netloc:
            raise LaunchProblem(f"{where}: needs a ref, or a uri with a host")
        return Destination(uri)
    _only(given["ref"], REF, f"{where}.ref")
    name = given["ref"].get("name", "")
    if name not in services:
        raise LaunchProblem(f"{where}.ref: the local broker knows no address of {name!r}")
    return Destination(urljoin(services[name].rstrip("/") + "/", uri), name)


def _event_policy(policy: Object) -> EventPolicy:
    title = _title(policy)
    senders = policy["spec"].get("from", [])
    for each in senders:
        _only(each, {"sub"}, f"{title}: spec.from")
    return EventPolicy(
        tuple(each.get("sub", "") for each in senders),
        read_filter({"filters": policy["spec"].get("filters", [])}, title),
    )


def _is_for(policy: Object, broker: Object) -> bool:
    """A policy without `to` is for every broker of its namespace."""
    targets = policy["spec"].get("to", [])
    for each in targets:
        _only(each, {"ref"}, f"{_title(policy)}: spec.to")
        _only(each["ref"], REF, f"{_title(policy)}: spec.to.ref")
    is_named = not targets or any(each["ref"].get("name") == broker["metadata"]["name"] for each in targets)
    return is_named and _namespace(policy) == _namespace(broker)


def _is_subject(pattern: str, subject: str) -> bool:
    return subject.startswith(pattern[:-1]) if pattern.endswith("*") else subject == pattern


def _is_config_map(given: Any) -> bool:
    return isinstance(given, dict) and (given.get("apiVersion"), given.get("kind")) == ("v1", "ConfigMap")


def _check_top(given: Any) -> None:
    if not isinstance(given, dict) or given.get("kind") not in SPEC or given.get("apiVersion") not in API_GROUPS:
        raise LaunchProblem("The broker's manifests hold Brokers, Triggers and EventPolicies of eventing.knative.dev")
    for part in ("metadata", "spec"):
        if not isinstance(given.get(part), dict):
            raise LaunchProblem(f"{given['kind']}: {part} is missing")
    if not given["metadata"].get("name"):
        raise LaunchProblem(f"{given['kind']}: metadata.name is missing")
    title = _title(given)
    _only(given, TOP, title)
    _only(given["metadata"], METADATA, f"{title}: metadata")
    _only(given["spec"], SPEC[given["kind"]], f"{title}: spec")


def _only(given: Object, known: set[str], where: str) -> None:
    for name in _unknown(given, known):
        raise LaunchProblem(f"{where}: unknown field {name!r}")


def _unknown(given: Object, known: set[str]) -> Iterator[str]:
    if not isinstance(given, dict):
        yield str(given)
    else:
        yield from sorted(set(given) - known)


def _title(given: Object) -> str:
    return f"{given['kind']} {given['metadata']['name']}"


def _namespace(given: Object) -> str:
    return str(given["metadata"].get("namespace", "default"))
