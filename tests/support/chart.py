"""The chart under the values that users set: by name, rendered once each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.support.helm import CHART, REPOSITORY, REQUIRED, VERSION, render

type Object = dict[str, Any]

KUBERNETES = ("1.30.0", "1.34.0", "1.37.0")
EVERYTHING = REPOSITORY / "tests" / "deploy" / "values-everything.yaml"
DIGEST = "sha256:" + "0123456789abcdef" * 4
SERVICES = ("request-manager", "agent-service", "integration-dispatcher")
APIS = {
    "knative": "eventing.knative.dev/v1",
    "strimzi": "kafka.strimzi.io/v1",
    "old strimzi": "kafka.strimzi.io/v1beta2",
    "keda": "keda.sh/v1alpha1",
    "prometheus": "monitoring.coreos.com/v1",
    "gateway": "gateway.networking.k8s.io/v1",
    "openshift": "route.openshift.io/v1",
}
SERVICENOW = (
    "mcpServers.servicenow.enabled=true,mcpServers.servicenow.instanceUrl=https://example.service-now.com,"
    "mcpServers.servicenow.laptopRefreshId=" + "0a" * 16
)
PRODUCTION = (
    *("-f", str(CHART / "values-production.yaml"), "--set", SERVICENOW),
    *("--set", "eventing.oidc.issuer=https://kubernetes.example.com"),
)
KAFKA = ("--set", "eventing.broker.kafka.bootstrapServers=kafka:9092")


@dataclass(frozen=True)
class Values:
    """`arguments` beside the required values; `needs`: the APIs without which helm must refuse."""

    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()


VALUES = {
    "three values": Values(()),
    "dev": Values(("-f", str(CHART / "values-dev.yaml"))),
    "production": Values(
        (*PRODUCTION, *KAFKA, "--set", "ingress.enabled=true,ingress.host=it.example.com,ingress.tlsSecret=tls"),
        ("knative", "keda", "prometheus"),
    ),
    "openshift": Values(
        ("-f", str(CHART / "values-openshift.yaml"), "--set", f"{SERVICENOW},route.host=it.example.com"), ("openshift",)
    ),
    "production on openshift": Values(
        (
            *(*PRODUCTION, *KAFKA, "-f", str(CHART / "values-openshift.yaml")),
            *("--set", "eventing.oidc.issuer=https://kubernetes.default.svc"),
        ),
        ("knative", "keda", "prometheus", "openshift"),
    ),
    "strimzi, gateway, network": Values(
        (
            *PRODUCTION,
            *(
                "--set",
                "strimzi.enabled=true,eventing.auth=network,httpRoute.enabled=true,httpRoute.host=it.example.com",
            ),
            *("--set", "httpRoute.parentRefs[0].name=public,networkPolicy.egress.enabled=true"),
        ),
        ("knative", "strimzi", "keda", "prometheus", "gateway"),
    ),
    "older strimzi, service tokens": Values(
        (
            *("--set", "eventing.enabled=true,eventing.auth=service-token,strimzi.enabled=true"),
            *("--set", "strimzi.apiVersion=kafka.strimzi.io/v1beta2"),
        ),
        ("knative", "old strimzi"),
    ),
    "gitops": Values(
        (
            *("--set", "checkApis=false,migrations.mode=none,tests.enabled=false,eventing.enabled=true"),
            *("--set", "eventing.broker.existing=shared,eventing.oidc.issuer=https://k.example.com"),
            *("--set", f"eventing.oidc.brokerAudience=broker,requestManager.image.digest={DIGEST}"),
        )
    ),
    "every integration": Values(
        (
            *("--set", "integrations.slack.enabled=true,integrations.email.smtp.host=smtp.example.com"),
            *("--set", "integrations.email.smtp.from=it@example.com,integrations.email.imap.host=imap.example.com"),
            *("--set", "integrations.email.trustedAuthservId=mx.example.com,integrations.sms.accountSid=AC1"),
            *("--set-string", "integrations.sms.from=+14155550100,integrations.sms.callbackUrl=https://it.example.com"),
        )
    ),
    "slack in socket mode": Values(("--set", "integrations.slack.enabled=true,integrations.slack.socketMode=true")),
    "everything of a pod": Values(("-f", str(EVERYTHING))),
}


@cache
def rendered(name: str, kubernetes: str = KUBERNETES[-1], *, apis: bool = True, helm: str = VERSION) -> list[Object]:
    """The objects for the values of this name. Raises HelmFailed. Nobody changes them."""
    given = ("--api-versions", ",".join(APIS.values())) if apis else ()
    values = VALUES[name].arguments
    return render(*REQUIRED, *values, "--kube-version", kubernetes, *given, version=helm)


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def pods_of(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Name and specification of every pod that the objects make."""
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield name, each["spec"]
        elif each["kind"] in ("Deployment", "Job", "StatefulSet", "DaemonSet"):
            yield name, each["spec"]["template"]["spec"]


def containers_of(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def hook_of(each: Object) -> str:
    """The first hook that it belongs to; empty: it is installed with the rest."""
    annotations: dict[str, str] = each["metadata"].get("annotations") or {}
    return annotations.get("helm.sh/hook", "").split(",")[0]


def hook_weight(each: Object) -> int:
    return int(each["metadata"]["annotations"].get("helm.sh/hook-weight", "0"))
