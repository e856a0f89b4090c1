"""Wrong values are refused with one clear text that names the key, by both helms."""

import pytest

from tests.support.chart import APIS, KAFKA, PRODUCTION
from tests.support.helm import CHART, OLDER_VERSION, REQUIRED, VERSION, HelmFailed, helm, render

GIVEN_APIS = ("--api-versions", ",".join(APIS.values()))
EVENTS = "eventing.enabled=true,eventing.broker.kafka.bootstrapServers=k:9092"
KEDA = "agentService.autoscaling.keda.enabled=true"
WRONG = [
    # missing
    ("existingSecret=", "existingSecret is required"),
    ("llamaStack.url=", "llamaStack.url is required"),
    ("oidc.issuer=", "oidc.issuer is required"),
    # unknown, of the wrong kind, or out of range
    ("existingSecrets=x", "existingSecrets"),
    ("requestManager.replica=2", "replica"),
    ("eventing.broker.kafka.topic=x", "topic"),
    ("requestManager.replicas=0", "replicas"),
    ("defaults.replicas=0", "replicas"),
    ("requestManager.replicas=two", "replicas"),
    ("secretKeys.DATABASE=url", "DATABASE"),
    ("secretKeys.DATABASE_URL=a key", "DATABASE_URL"),
    ("existingSecret=Not_A_Name", "existingSecret"),
    ("llamaStack.url=llama-stack:8321", "llamaStack"),
    ("publicUrl=it.example.com", "publicUrl"),
    ("migrations.mode=job", "mode"),
    ("eventing.auth=none", "auth"),
    ("requestManager.image.digest=sha256:1", "digest"),
    ("agentService.settings.log-level=DEBUG", "log-level"),
    ("fullnameOverride=a-name-that-is-too-long", "fullnameOverride"),
    # half set, or not going together
    ("oidc.issuer=http://sso.example.com", "oidc.issuer must be https"),
    ("embeddings.url=http://e/v1", "embeddings.model"),
    ("mcpServers.servicenow.enabled=true", "mcpServers.servicenow.instanceUrl"),
    (
        "mcpServers.servicenow.enabled=true,mcpServers.servicenow.instanceUrl=https://s.example.com",
        "mcpServers.servicenow.laptopRefreshId",
    ),
    ("mcpServers.servicenow.instanceUrl=https://s.example.com", "mcpServers.servicenow is half set"),
    ("integrations.slack.socketMode=true", "integrations.slack.enabled"),
    ("integrations.email.smtp.host=smtp.example.com", "integrations.email.smtp.from"),
    ("integrations.email.smtp.from=it@example.com", "integrations.email.smtp.host"),
    ("integrations.email.imap.host=imap.example.com", "integrations.email.smtp.host"),
    ("integrations.sms.accountSid=AC1", "integrations.sms.from"),
    ("integrations.teams.enabled=true", "teams"),
    ("devDatabase.enabled=true", "migrations.mode=init"),
    ("eventing.enabled=true", "eventing.enabled needs a broker"),
    (EVENTS, "eventing.oidc.issuer"),
    (f"{EVENTS},strimzi.enabled=true", "exclude each other"),
    (f"{EVENTS},eventing.auth=network", "networkPolicy.fromIngress"),
    (f"{EVENTS},eventing.auth=network,networkPolicy.enabled=false", "networkPolicy.enabled"),
    ("strimzi.enabled=true", "strimzi.enabled needs eventing.enabled"),
    (f"{KEDA},agentService.autoscaling.hpa.enabled=true", "hpa.enabled and keda.enabled exclude each other"),
    (f"{KEDA}", "networkPolicy.fromMonitoring"),
    ("requestManager.autoscaling.keda.enabled=true", "requestManager.autoscaling.keda.enabled"),
    ("requestManager.autoscaling.hpa.enabled=true,requestManager.autoscaling.hpa.minReplicas=11", "minReplicas"),
    ("requestManager.preStopSeconds=40", "terminationGracePeriodSeconds"),
    ("ingress.enabled=true", "ingress.host"),
    ("httpRoute.enabled=true", "httpRoute.host"),
    ("httpRoute.enabled=true,httpRoute.host=a.example.com", "httpRoute.parentRefs"),
    ("ingress.enabled=true,ingress.host=a.example.com,route.enabled=true", "exclude each other"),
    ("networkPolicy.enabled=false,networkPolicy.egress.enabled=true", "networkPolicy.egress.enabled"),
]


@pytest.mark.parametrize("version", [VERSION, OLDER_VERSION])
@pytest.mark.parametrize(("value", "words"), WRONG, ids=[value for value, _ in WRONG])
def test_wrong_values_are_refused_by_name(value: str, words: str, version: str) -> None:
    with pytest.raises(HelmFailed) as refused:
        render(*REQUIRED, "--set", value, *GIVEN_APIS, version=version)
    assert words in str(refused.value)


def test_without_any_value_the_first_missing_one_is_explained() -> None:
    with pytest.raises(HelmFailed, match=r"existingSecret is required: the name of a Secret .* DATABASE_URL"):
        helm("template", "ssa", str(CHART))


@pytest.mark.parametrize("missing", ["knative", "keda", "prometheus"])
def test_each_missing_api_is_named_with_the_value_that_needs_it(missing: str) -> None:
    others = ",".join(version for name, version in APIS.items() if name != missing)
    with pytest.raises(HelmFailed) as refused:
        render(*REQUIRED, *PRODUCTION, *KAFKA, "--api-versions", others)
    assert f"this cluster has no {APIS[missing]}" in str(refused.value)
