"""The commands of docs/install-kubernetes.md do what the page says, as far as that goes without a cluster."""

import base64
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from shared_models.tokens import IdentitySigner, IdentityVerifier

from tests.support.chart import APIS
from tests.support.helm import OLDER_VERSION, REPOSITORY, REQUIRED, VERSION, HelmFailed, helm
from tests.support.kubernetes_api import kubernetes_api

PAGE = (REPOSITORY / "docs" / "install-kubernetes.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(re.sub(r'"\$\(kubectl .*?\)"', "https://kubernetes.example.com", command))
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    for command in block.replace("\\\n", " ").splitlines()
]
INSTALLS = [command for command in COMMANDS if command[:1] == ["helm"] and {"install", "upgrade"} & set(command)]


def as_template(command: list[str]) -> list[str]:
    """What `helm template` is asked for the same values; `--reuse-values` are those that every installation has."""
    given = ["template" if part in ("install", "upgrade") else part for part in command[1:]]
    given = [str(REPOSITORY / "helm") if part == "./helm" else part for part in given]
    if "--reuse-values" in given:
        given.remove("--reuse-values")
        given += REQUIRED
    return given


@pytest.mark.parametrize("version", [VERSION, OLDER_VERSION])
@pytest.mark.parametrize("command", INSTALLS, ids=lambda command: command[3])
def test_each_installation_renders(command: list[str], version: str) -> None:
    text = helm(*as_template(command), "--api-versions", ",".join(APIS.values()), version=version)
    assert ("kind: Trigger" in text) is any("eventing.enabled=true" in part for part in command)


@pytest.mark.parametrize("version", [VERSION, OLDER_VERSION])
def test_the_secret_of_the_page_is_enough_for_its_installation(tmp_path: Path, version: str) -> None:
    [create] = [command for command in COMMANDS if "secret" in command]
    keys = re.findall(r"--from-literal=([A-Z_]+)=", PAGE)
    name = create[create.index("generic") + 1]
    with kubernetes_api(tmp_path, {name: keys}) as kubeconfig:
        cluster = ("--kubeconfig", str(kubeconfig), "--dry-run=server", "--disable-openapi-validation")
        [install] = [command for command in INSTALLS if "install" in command]
        given = as_template(install)
        assert "kind: Deployment" in helm(*given, *cluster, version=version)
        with pytest.raises(HelmFailed, match="has no key"):
            helm(*given, *cluster, "--set", "secretKeys.SECRETS_KEY=other", version=version)


def test_the_page_installs_and_switches_to_events() -> None:
    assert [command[3] for command in INSTALLS] == ["install", "upgrade"]


def test_the_keys_made_with_openssl_belong_together(tmp_path: Path) -> None:
    [openssl] = re.findall(r"^openssl genpkey .*$", PAGE, re.M)
    private = re.search(r'IDENTITY_SIGNING_KEY="\$\((.*?)\)"', PAGE)
    public = re.search(r'IDENTITY_PUBLIC_KEY="\$\((.*?)\)"', PAGE)
    secrets_key = re.search(r'SECRETS_KEY="\$\((.*?)\)"', PAGE)
    assert private
    assert public
    assert secrets_key

    def run(command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True
        )
        return done.stdout.strip()

    run(openssl)
    IdentitySigner(run(private[1]))
    IdentityVerifier(run(public[1]), server="servicenow")
    seed = Ed25519PrivateKey.from_private_bytes(base64.b64decode(run(private[1])))
    assert base64.b64encode(seed.public_key().public_bytes_raw()).decode() == run(public[1])
    assert len(base64.b64decode(run(secrets_key[1]))) == 32
