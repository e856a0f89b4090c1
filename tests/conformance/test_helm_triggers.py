"""The Broker and the Triggers of the chart: valid by their schemas, complete, and the same as the local broker's copy."""

import copy
from typing import Any

import pytest
import yaml
from local_stack.broker.manifests import read_manifests
from local_stack.broker.settings import SHIPPED_MANIFESTS
from shared_models.events import EventType

from tests.support.helm import LOCAL_BROKER, HelmFailed, render
from tests.support.manifests import BadManifest, check_manifest

PREFIX = "self-service-agent-"
SERVICES = {PREFIX + name: f"http://{name}" for name in ("request-manager", "agent-service", "integration-dispatcher")}
CONSUMERS = {
    (EventType.REQUEST_CREATED, "agent-service"),
    (EventType.REQUEST_PROCESSING, "request-manager"),
    (EventType.REQUEST_PROCESSING, "integration-dispatcher"),
    (EventType.RESPONSE_READY, "request-manager"),
    (EventType.RESPONSE_READY, "integration-dispatcher"),
    (EventType.DELIVERY_SUCCEEDED, "request-manager"),
    (EventType.DELIVERY_FAILED, "request-manager"),
}

type Object = dict[str, Any]


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    return render(*LOCAL_BROKER)


@pytest.fixture
def triggers(objects: list[Object]) -> list[Object]:
    return [copy.deepcopy(each) for each in objects if each["kind"] == "Trigger"]


def test_the_local_brokers_copy_is_what_the_chart_renders(objects: list[Object]) -> None:
    shipped = [document for document in yaml.safe_load_all(SHIPPED_MANIFESTS.read_text()) if document]
    assert shipped == objects, "run `make manifests`"


def test_every_object_fits_its_schema(objects: list[Object]) -> None:
    for each in objects:
        check_manifest(each)


def test_every_event_has_a_trigger_for_each_consumer(triggers: list[Object]) -> None:
    found = [
        (
            EventType(each["spec"]["filters"][0]["exact"]["type"]),
            each["spec"]["subscriber"]["ref"]["name"].removeprefix(PREFIX),
        )
        for each in triggers
    ]
    assert len(found) == len(CONSUMERS)
    assert set(found) == CONSUMERS


def test_every_trigger_sets_order_retries_timeout_and_dead_letter_sink(triggers: list[Object]) -> None:
    for each in triggers:
        assert each["metadata"]["annotations"] == {"kafka.eventing.knative.dev/delivery.order": "ordered"}
        delivery = each["spec"]["delivery"]
        assert set(delivery) == {"retry", "backoffPolicy", "backoffDelay", "timeout", "deadLetterSink"}
        assert delivery["retry"] > 0
        assert delivery["backoffPolicy"] == "exponential"
        sink = {
            "ref": {"apiVersion": "v1", "kind": "Service", "name": PREFIX + "request-manager"},
            "uri": "/dead-letters",
        }
        assert delivery["deadLetterSink"] == sink
        assert each["spec"]["subscriber"]["uri"] == "/events"


def test_the_triggers_name_a_broker_of_class_kafka_with_its_settings(objects: list[Object]) -> None:
    [broker] = [each for each in objects if each["kind"] == "Broker"]
    [config] = [each for each in objects if each["kind"] == "ConfigMap"]
    assert broker["metadata"]["annotations"] == {"eventing.knative.dev/broker.class": "Kafka"}
    assert broker["spec"]["config"]["name"] == config["metadata"]["name"]
    names = {each["spec"]["broker"] for each in objects if each["kind"] == "Trigger"}
    assert names == {broker["metadata"]["name"]}


@pytest.mark.parametrize(
    ("where", "field"),
    [((), "sepc"), (("spec",), "subscribers"), (("spec", "delivery"), "retries"), (("spec", "subscriber"), "url")],
)
def test_a_trigger_with_an_unknown_field_is_named(triggers: list[Object], where: tuple[str, ...], field: str) -> None:
    wrong = triggers[0]
    inner = wrong
    for name in where:
        inner = inner[name]
    inner[field] = 5
    with pytest.raises(BadManifest, match=field):
        check_manifest(wrong)


def test_an_object_of_an_unknown_kind_is_refused(triggers: list[Object]) -> None:
    with pytest.raises(BadManifest, match="Triggre"):
        check_manifest(triggers[0] | {"kind": "Triggre"})


def test_the_brokers_name_and_the_delivery_can_be_set() -> None:
    objects = render(
        *LOCAL_BROKER,
        "--set",
        "fullnameOverride=other,eventing.delivery.retry=3,eventing.delivery.timeout=PT5S,eventing.broker.kafka.authSecret=k",
    )
    for each in objects:
        check_manifest(each)
    others = {name.replace("self-service-agent", "other"): url for name, url in SERVICES.items()}
    [config] = read_manifests(yaml.safe_dump_all(objects), others)
    assert config.path == "/default/other"
    assert {(each.policy.retry, each.policy.timeout_s) for each in config.triggers} == {(3, 5.0)}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("eventing.delivery.timeout=30s", "timeout"),
        ("eventing.delivery.retry=0", "retry"),
        ("eventing.delivery.retries=3", "retries"),
        ("fullnameOverride=Other_Name", "fullnameOverride"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(value: str, words: str) -> None:
    with pytest.raises(HelmFailed, match=words):
        render(*LOCAL_BROKER, "--set", value)
