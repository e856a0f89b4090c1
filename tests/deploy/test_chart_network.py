"""Who reaches whom: what is open to the outside, by which timeouts, and what the policies let through."""

import pytest
from agent_service.store.intake import RUNS
from integration_dispatcher.store.names import DELIVERIES
from shared_models.telemetry import DUE_AGE

from tests.support.chart import VALUES, Object, of_kind, rendered
from tests.support.route_table import routes_of
from tests.support.trio import apps_of

PREFIX = "self-service-agent-"
OUTSIDE = {
    "request-manager": {"own", "operator", "administrator", "tool", "nobody"},
    "integration-dispatcher": {"provider", "nobody"},
    "agent-service": set[str](),
}
HEALTH = {"/livez", "/readyz", "/health"}


def ingress_paths(objects: list[Object]) -> list[tuple[str, str]]:
    [ingress] = of_kind(objects, "Ingress")
    return [
        (entry["backend"]["service"]["name"].removeprefix(PREFIX), entry["path"])
        for entry in ingress["spec"]["rules"][0]["http"]["paths"]
    ]


def route_paths(objects: list[Object]) -> list[tuple[str, str]]:
    return [
        (each["spec"]["to"]["name"].removeprefix(PREFIX), each["spec"]["path"]) for each in of_kind(objects, "Route")
    ]


def gateway_paths(objects: list[Object]) -> list[tuple[str, str]]:
    [route] = of_kind(objects, "HTTPRoute")
    return [
        (rule["backendRefs"][0]["name"].removeprefix(PREFIX), match["path"]["value"])
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
    ]


def test_all_three_entrances_open_the_same_paths() -> None:
    paths = ingress_paths(rendered("production"))
    assert sorted(route_paths(rendered("openshift"))) == sorted(paths)
    assert sorted(gateway_paths(rendered("strimzi, gateway, network"))) == sorted(paths)


def test_people_and_providers_reach_every_route_of_theirs_and_no_other_of_the_machines() -> None:
    opened = ingress_paths(rendered("production"))
    for service, app in apps_of().items():
        for route, callers in routes_of(app).items():
            path = route.split(" ")[1]
            is_open = any(name == service.value and path.startswith(prefix) for name, prefix in opened)
            is_page = path.startswith("/docs")  # local profile
            if path in HEALTH or is_page or (service.value == "request-manager" and path == "/openapi.json"):
                continue
            if set(callers) & OUTSIDE[service.value]:
                assert is_open, f"{service.value} {route}: add it to ssa.publicPaths of helm/templates/_helpers.tpl"
            elif service.value != "request-manager" or not path.startswith("/api/"):
                assert not is_open, f"{service.value} {route} must not be reached from outside"


def test_calls_may_take_130_seconds_and_events_are_not_held_back() -> None:
    [ingress] = of_kind(rendered("production"), "Ingress")
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "130"
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    for each in of_kind(rendered("openshift"), "Route"):
        assert each["metadata"]["annotations"]["haproxy.router.openshift.io/timeout"] == "130s"
    [route] = of_kind(rendered("strimzi, gateway, network"), "HTTPRoute")
    assert {rule["timeouts"]["request"] for rule in route["spec"]["rules"]} == {"130s"}


@pytest.mark.parametrize("name", VALUES)
def test_every_component_has_a_policy_that_names_who_may_call_it(name: str) -> None:
    objects = rendered(name)
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "NetworkPolicy")}
    for each in of_kind(objects, "Deployment"):
        policy = policies[each["metadata"]["name"]]
        assert policy["podSelector"]["matchLabels"] == each["spec"]["selector"]["matchLabels"]
        ports = {port["containerPort"] for port in each["spec"]["template"]["spec"]["containers"][0]["ports"]}
        assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} <= ports


def test_by_network_only_the_broker_the_gateway_and_our_own_pods_get_through() -> None:
    for each in of_kind(rendered("strimzi, gateway, network"), "NetworkPolicy"):
        for rule in each["spec"].get("ingress", []):
            assert rule["from"], each["metadata"]["name"]


def test_keda_reads_a_gauge_and_a_queue_that_exist() -> None:
    [gauge] = DUE_AGE.collect()
    objects = of_kind(rendered("production"), "ScaledObject")
    read = {each["spec"]["triggers"][0]["metadata"]["valueLocation"] for each in objects}
    assert read == {f'{gauge.name}{{queue="{queue}"}}' for queue in (RUNS, DELIVERIES)}
    for each in objects:
        host = each["spec"]["scaleTargetRef"]["name"]
        assert each["spec"]["triggers"][0]["metadata"]["url"] == f"http://{host}.default.svc:9090/metrics"
