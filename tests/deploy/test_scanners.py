"""checkov and trivy over the chart as it is installed: no finding without a written exception, no exception without a finding."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.chart import APIS, DIGEST, VALUES, Object, containers_of, pods_of
from tests.support.deploy_tools import run_tool
from tests.support.helm import REPOSITORY, REQUIRED, render

SCANNED = ("production", "production on openshift", "strimzi, gateway, network", "dev")
IMAGES = ("requestManager", "agentService", "integrationDispatcher", "mcpServers.servicenow", "migrations")
# As somebody installs it who pins what runs: a namespace of its own, digests, and pulls that check them.
PINNED = (
    *("--namespace", "it-self-service", "--set", "image.pullPolicy=Always"),
    *("--set", ",".join(f"{name}.image.digest={DIGEST}" for name in IMAGES)),
    *("--set", f"devDatabase.image=pgvector/pgvector@{DIGEST}"),
)
# The user that OpenShift gives to the pods of a namespace when they are admitted.
OPENSHIFTS_USER = ("--set", "defaults.podSecurityContext.runAsUser=1000930000")
# (tool, check, object): reason. Each is one check on one object.
EXCEPTIONS = {
    ("checkov", "CKV_K8S_8", "Pod self-service-agent-test"): "it ends after seconds: nothing to restart",
    ("checkov", "CKV_K8S_9", "Pod self-service-agent-test"): "no Service sends it anything",
    (
        "trivy",
        "AVD-KSV-01010",
        "ConfigMap self-service-agent-kafka",
    ): "it takes the milliseconds of Kafka's retention for a person's number",
}

type Finding = tuple[str, str, str]


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what helm would install for each of the scanned sets of values."""
    folder = tmp_path_factory.mktemp("manifests")
    apis = ("--api-versions", ",".join(APIS.values()))
    for name in SCANNED:
        user = OPENSHIFTS_USER if "openshift" in name else ()
        objects = render(*REQUIRED, *VALUES[name].arguments, *PINNED, *user, *apis)
        (folder / f"{name.split(',')[0].replace(' ', '-')}.yaml").write_text(yaml.safe_dump_all(objects))
    return folder


@pytest.fixture(scope="session")
def findings(manifests: Path) -> set[Finding]:
    return {*checkov(manifests), *trivy(manifests)}


def checkov(folder: Path) -> Iterator[Finding]:
    told = json.loads(
        run_tool(
            *("checkov", "--directory", str(folder), "--framework", "kubernetes", "--skip-download"),
            *("--compact", "--quiet", "--output", "json"),
        )
    )
    assert told["summary"]["resource_count"] > 50
    for failed in told["results"]["failed_checks"]:
        kind, _, name = failed["resource"].split(".", 2)
        yield "checkov", failed["check_id"], f"{kind} {name}"


def trivy(folder: Path) -> Iterator[Finding]:
    arguments = ("config", "--skip-check-update", "--quiet", "--format", "json")
    told = json.loads(run_tool("trivy", *arguments, "--severity", "MEDIUM,HIGH,CRITICAL", str(folder)))
    assert len(told["Results"]) == len(SCANNED)
    for result in told["Results"]:
        for wrong in result.get("Misconfigurations") or []:
            kind, _, rest = wrong["Message"].partition(" ")
            yield "trivy", wrong["ID"], f"{kind} {rest.split("'")[1] if "'" in rest else rest}"


def test_nothing_is_found_but_the_written_exceptions(findings: set[Finding]) -> None:
    assert sorted(findings - set(EXCEPTIONS)) == []


def test_every_written_exception_is_needed_and_there_are_few(findings: set[Finding]) -> None:
    assert sorted(set(EXCEPTIONS) - findings) == []
    assert len(EXCEPTIONS) <= 8


def test_the_scanners_would_find_a_pod_that_may_do_everything(tmp_path: Path, manifests: Path) -> None:
    """That nothing is found means something only if they look."""
    documents: list[Object] = list(yaml.safe_load_all((manifests / "dev.yaml").read_text()))
    [spec] = [pod for name, pod in pods_of(documents) if name == "Deployment self-service-agent-request-manager"]
    containers_of(spec)[-1]["securityContext"] = {"privileged": True}
    for name in SCANNED:  # as many files as usual
        (tmp_path / f"{name[:6]}{len(name)}.yaml").write_text(yaml.safe_dump_all(documents))
    assert "CKV_K8S_16" in {check for _, check, _ in checkov(tmp_path)}
    assert "KSV017" in {check for _, check, _ in trivy(tmp_path)}


def test_the_containerfiles_pass_hadolint() -> None:
    files = sorted(REPOSITORY.glob("**/Containerfile*"))
    files = [path for path in files if not {".venv", ".local"} & set(path.relative_to(REPOSITORY).parts)]
    assert files, "no Containerfile is there to check"
    told = json.loads(run_tool("hadolint", "--format", "json", *map(str, files)))
    assert told == []
