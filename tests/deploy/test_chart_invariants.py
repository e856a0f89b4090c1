"""What no schema says: names resolve, hooks need nothing later, pods are restricted, and nothing blocks a drain."""

import json
from collections import Counter

import pytest

from tests.support.chart import (
    VALUES,
    Object,
    containers_of,
    hook_of,
    hook_weight,
    of_kind,
    pods_of,
    rendered,
)

NAMES = pytest.mark.parametrize("name", VALUES)
ASKING = {
    "EVENTS_OIDC_JWKS_URL": "https://kubernetes.default.svc/openid/v1/jwks",
    "EVENTS_OIDC_CA_FILE": "/run/cluster/ca.crt",
    "EVENTS_OIDC_TOKEN_FILE": "/run/cluster/token",
}
CLUSTER_FILES = [
    {"serviceAccountToken": {"expirationSeconds": 3600, "path": "token"}},
    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
]
SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
TRIGGER_DELIVERY = {"retry", "backoffPolicy", "backoffDelay", "timeout", "deadLetterSink"}
OWN_SECRETS = {"secrets", "tls", "pull"}  # of the user, by the values of tests.support.chart
OWN_CONFIG_MAPS = {"agents", "more"}
RESTRICTED_VOLUMES = {"configMap", "emptyDir", "projected", "secret"}
# SIGTERM to the end: 10 s for open calls, then 25 s to finish or release work (web.py, work_queue.py, database.py).
STOPPING_TAKES_S = 35


def labels(each: Object) -> dict[str, str]:
    return dict(each["spec"]["template"]["metadata"]["labels"])


def matches(selector: dict[str, str], found: dict[str, str]) -> bool:
    return selector.items() <= found.items()


@NAMES
def test_no_two_objects_have_one_name(name: str) -> None:
    counted = Counter((each["kind"], each["metadata"]["name"]) for each in rendered(name))
    assert [each for each, times in counted.items() if times > 1] == []


@NAMES
def test_every_selector_selects_exactly_its_own_pods(name: str) -> None:
    objects = rendered(name)
    deployments = of_kind(objects, "Deployment")
    for each in deployments:
        selector = each["spec"]["selector"]["matchLabels"]
        assert [other["metadata"]["name"] for other in deployments if matches(selector, labels(other))] == [
            each["metadata"]["name"]
        ]
    for each in of_kind(objects, "Service"):
        chosen = [other for other in deployments if matches(each["spec"]["selector"], labels(other))]
        assert [other["metadata"]["name"] for other in chosen] == [each["metadata"]["name"]]
        ports = {
            port["name"]: port["containerPort"]
            for box in containers_of(chosen[0]["spec"]["template"]["spec"])
            for port in box.get("ports", [])
        }
        for port in each["spec"]["ports"]:
            assert port["targetPort"] in ports
            assert port["port"] in (80, ports[port["targetPort"]])
    for each in of_kind(objects, "PodDisruptionBudget"):
        assert [o for o in deployments if matches(each["spec"]["selector"]["matchLabels"], labels(o))]


@NAMES
def test_every_name_that_is_referred_to_is_rendered_or_the_users(name: str) -> None:
    objects = rendered(name)
    made = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for title, pod in pods_of(objects):
        account = pod["serviceAccountName"]
        assert ("ServiceAccount", account) in made or account == "agents", title
        mounted = (
            {mount["name"] for box in containers_of(pod) for mount in box["volumeMounts"]}
            if "volumes" in pod
            else set()
        )
        assert mounted <= {volume["name"] for volume in pod.get("volumes", [])}, title
        for volume in pod.get("volumes", []):
            assert volume.get("configMap", {}).get("name", "agents") in OWN_CONFIG_MAPS
            for source in volume.get("projected", {}).get("sources", []):
                assert source.get("secret", {}).get("name", "secrets") in OWN_SECRETS
    for each in of_kind(objects, *SCALERS):
        assert ("Deployment", each["spec"]["scaleTargetRef"]["name"]) in made
    for each in of_kind(objects, "Trigger"):
        for target in (each["spec"]["subscriber"], each["spec"]["delivery"]["deadLetterSink"]):
            [service] = [o for o in of_kind(objects, "Service") if o["metadata"]["name"] == target["ref"]["name"]]
            # Knative calls port 80 of a Service.
            assert 80 in [port["port"] for port in service["spec"]["ports"]]
    for broker in of_kind(objects, "Broker"):
        assert ("ConfigMap", broker["spec"]["config"]["name"]) in made


@NAMES
def test_addresses_of_neighbours_are_services_and_ports_that_are_rendered(name: str) -> None:
    objects = rendered(name)
    services = {
        f"http://{each['metadata']['name']}:{port['port']}"
        for each in of_kind(objects, "Service")
        for port in each["spec"]["ports"]
    }
    for each in of_kind(objects, "Deployment"):
        for box in containers_of(each["spec"]["template"]["spec"]):
            env = {entry["name"]: entry.get("value", "") for entry in box.get("env", [])}
            given = [env[setting] for setting in env if setting in ("REQUEST_MANAGER_URL", "AGENT_SERVICE_URL")]
            given += [url.removesuffix("/mcp") for url in json.loads(env.get("MCP_SERVERS", "{}")).values() if url]
            assert set(given) <= services


@NAMES
def test_hooks_use_nothing_that_is_created_after_them(name: str) -> None:
    objects = rendered(name)
    for each in [each for each in objects if hook_of(each) and each["kind"] in ("Job", "Pod")]:
        pod = dict(pods_of([each])) or {}
        [spec] = pod.values()
        [account] = [
            o for o in of_kind(objects, "ServiceAccount") if o["metadata"]["name"] == spec["serviceAccountName"]
        ]
        assert hook_of(account) == hook_of(each)
        assert hook_weight(account) < hook_weight(each)
        assert {key for volume in spec.get("volumes", []) for key in volume} <= {"name", "projected", "emptyDir"}
        assert "before-hook-creation" in each["metadata"]["annotations"]["helm.sh/hook-delete-policy"]


def test_without_the_hook_nothing_migrates_but_what_is_asked_for() -> None:
    assert of_kind(rendered("gitops"), "Job") == []
    with_init = of_kind(rendered("dev"), "Deployment")
    migrating = {
        each["metadata"]["name"].removeprefix("self-service-agent-")
        for each in with_init
        if each["spec"]["template"]["spec"].get("initContainers")
    }
    assert migrating == {"request-manager", "agent-service", "integration-dispatcher"}
    assert of_kind(rendered("dev"), "Job") == []


@NAMES
def test_every_pod_is_restricted(name: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    for title, pod in pods_of(rendered(name)):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, title
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, title
        assert context.get("runAsUser", 1) != 0, title
        assert pod["automountServiceAccountToken"] is False, title
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), title
        for volume in pod.get("volumes", []):
            assert set(volume) - {"name"} <= RESTRICTED_VOLUMES, title
        for box in containers_of(pod):
            own = box["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, title
            assert own["readOnlyRootFilesystem"] is True, title
            assert own["capabilities"] == {"drop": ["ALL"]}, title
            assert not {"privileged", "runAsUser", "procMount"} & own.keys(), title
            assert set(box["resources"]) == {"requests", "limits"}, title
            assert not [port for port in box.get("ports", []) if "hostPort" in port], title


def test_an_issuer_in_the_cluster_is_asked_as_the_cluster_wants_and_no_other_gets_a_token() -> None:
    for name, is_cluster in (("production on openshift", True), ("production", False)):
        services = [
            (pod, box, {entry["name"]: entry.get("value", "") for entry in box["env"]})
            for _, pod in pods_of(of_kind(rendered(name), "Deployment"))
            for box in containers_of(pod)
            if {"name": "EVENTS_AUTH", "value": "oidc"} in box["env"]
        ]
        assert len(services) == 3
        for pod, box, env in services:
            assert {n: v for n, v in env.items() if n in ASKING} == (ASKING if is_cluster else {})
            sources = [v["projected"]["sources"] for v in pod["volumes"] if v["name"] == "cluster"]
            assert sources == ([CLUSTER_FILES] if is_cluster else [])
            mounts = {mount["mountPath"] for mount in box["volumeMounts"]}
            assert ("/run/cluster" in mounts) is is_cluster


def test_openshift_chooses_the_user() -> None:
    for name in ("openshift", "production on openshift"):
        for title, pod in pods_of(rendered(name)):
            assert not {"runAsUser", "runAsGroup", "fsGroup"} & pod["securityContext"].keys(), title


@NAMES
def test_no_secret_is_made_and_none_is_a_variable(name: str) -> None:
    objects = rendered(name)
    assert of_kind(objects, "Secret") == []
    for title, pod in pods_of(objects):
        for box in containers_of(pod):
            assert [entry for entry in box.get("env", []) if "valueFrom" in entry] == [], title
            secret = ("PASSWORD", "TOKEN", "KEY", "SECRET", "DATABASE_URL")
            told = {entry["name"] for entry in box.get("env", []) if entry["name"].endswith(secret)}
            assert told == set(), title


@NAMES
def test_probes_have_their_meaning_and_the_grace_period_is_long_enough(name: str) -> None:
    for each in of_kind(rendered(name), "Deployment"):
        pod = each["spec"]["template"]["spec"]
        box = pod["containers"][0]
        assert box["livenessProbe"] != box["readinessProbe"]
        if box["name"] == "postgresql":
            continue
        assert box["startupProbe"]["httpGet"] == box["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
        assert box["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
        before_s = box["lifecycle"]["preStop"]["sleep"]["seconds"]
        # Readiness is asked every 5 s; endpoints follow within seconds.
        assert before_s >= 5
        assert pod["terminationGracePeriodSeconds"] >= before_s + STOPPING_TAKES_S
        assert each["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@NAMES
def test_a_disruption_budget_never_forbids_every_eviction(name: str) -> None:
    objects = rendered(name)
    least = {each["metadata"]["name"]: each["spec"].get("replicas") for each in of_kind(objects, "Deployment")} | {
        each["spec"]["scaleTargetRef"]["name"]: each["spec"].get("minReplicas", each["spec"].get("minReplicaCount"))
        for each in of_kind(objects, *SCALERS)
    }
    for each in of_kind(objects, "PodDisruptionBudget"):
        assert least[each["metadata"]["name"]] >= 2
        assert each["spec"]["maxUnavailable"] >= 1
        assert "minAvailable" not in each["spec"]


@NAMES
def test_replicas_are_left_to_the_autoscaler_where_there_is_one(name: str) -> None:
    objects = rendered(name)
    scaled = [each["spec"]["scaleTargetRef"]["name"] for each in of_kind(objects, *SCALERS)]
    assert len(scaled) == len(set(scaled))
    for each in of_kind(objects, "Deployment"):
        assert ("replicas" in each["spec"]) is (each["metadata"]["name"] not in scaled)
    for each in of_kind(objects, "HorizontalPodAutoscaler"):
        assert set(each["spec"]["behavior"]) == {"scaleUp", "scaleDown"}


@NAMES
def test_every_trigger_sets_all_of_its_delivery(name: str) -> None:
    objects = rendered(name)
    env = [box["env"] for _, pod in pods_of(objects) for box in containers_of(pod) if "env" in box]
    is_eventing = {"name": "EVENTING_ENABLED", "value": "true"} in [entry for each in env for entry in each]
    assert len(of_kind(objects, "Trigger")) == (7 if is_eventing else 0)
    for each in of_kind(objects, "Trigger"):
        assert set(each["spec"]["delivery"]) == TRIGGER_DELIVERY
        assert each["metadata"]["annotations"]["kafka.eventing.knative.dev/delivery.order"] == "ordered"
        assert len(each["spec"]["subscriber"]["ref"]["name"]) <= 63
        audience = each["spec"]["subscriber"].get("audience")
        assert audience == each["spec"]["delivery"]["deadLetterSink"].get("audience")
        assert (audience is not None) is ({"name": "EVENTS_AUTH", "value": "oidc"} in [e for one in env for e in one])
