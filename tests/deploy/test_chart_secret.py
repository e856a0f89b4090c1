"""With a cluster at hand helm looks into the Secret: a key that is missing or has another name stops the installation.

`helm template --dry-run=server` asks an API server as `helm install` does; it reads, and creates nothing."""

from pathlib import Path

import pytest

from tests.support.helm import CHART, OLDER_VERSION, REQUIRED, VERSION, HelmFailed, helm
from tests.support.kubernetes_api import kubernetes_api

KEYS = ("DATABASE_URL", "IDENTITY_SIGNING_KEY", "SECRETS_KEY", "SERVICE_TOKEN_KEY")
SMS = ("--set-string", "integrations.sms.accountSid=AC1,integrations.sms.from=+14155550100")
HELMS = pytest.mark.parametrize("version", [VERSION, OLDER_VERSION])


def asked(kubeconfig: Path, version: str, *more: str) -> str:
    cluster = ("--kubeconfig", str(kubeconfig), "--dry-run=server", "--disable-openapi-validation")
    return helm("template", "ssa", str(CHART), *cluster, *REQUIRED, *more, version=version)


@HELMS
def test_a_secret_with_the_four_keys_is_enough(tmp_path: Path, version: str) -> None:
    with kubernetes_api(tmp_path, {"secrets": KEYS}) as kubeconfig:
        assert "kind: Deployment" in asked(kubeconfig, version)


@HELMS
@pytest.mark.parametrize("missing", KEYS)
def test_a_missing_key_is_named_and_stops_the_installation(tmp_path: Path, missing: str, version: str) -> None:
    keys = [key for key in KEYS if key != missing]
    with (
        kubernetes_api(tmp_path, {"secrets": keys}) as kubeconfig,
        pytest.raises(HelmFailed, match=f'the Secret "secrets" has no key "{missing}"'),
    ):
        asked(kubeconfig, version)


@HELMS
def test_a_key_of_another_name_must_be_there_under_that_name(tmp_path: Path, version: str) -> None:
    renamed = ("--set", "secretKeys.DATABASE_URL=uri")
    with (
        kubernetes_api(tmp_path, {"secrets": KEYS}) as kubeconfig,
        pytest.raises(HelmFailed, match='has no key "uri"'),
    ):
        asked(kubeconfig, version, *renamed)
    with kubernetes_api(tmp_path, {"secrets": ("uri", *KEYS[1:])}) as kubeconfig:
        assert "kind: Deployment" in asked(kubeconfig, version, *renamed)


@HELMS
def test_what_is_switched_on_needs_its_own_keys(tmp_path: Path, version: str) -> None:
    with (
        kubernetes_api(tmp_path, {"secrets": KEYS}) as kubeconfig,
        pytest.raises(HelmFailed, match='has no key "SMS_AUTH_TOKEN"'),
    ):
        asked(kubeconfig, version, *SMS)


@HELMS
def test_the_apis_that_a_cluster_lacks_are_found_by_asking_it(tmp_path: Path, version: str) -> None:
    events = ("--set", "eventing.enabled=true,eventing.auth=service-token,eventing.broker.existing=shared")
    with (
        kubernetes_api(tmp_path, {"secrets": KEYS}) as kubeconfig,
        pytest.raises(HelmFailed, match=r"eventing\.enabled: this cluster has no eventing\.knative\.dev/v1"),
    ):
        asked(kubeconfig, version, *events)
