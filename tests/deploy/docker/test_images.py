"""What is in the images of `make images`, and that they run as a stranger who may write nothing."""

import json
import subprocess

import pytest

from tests.deploy.docker.compose import Compose
from tests.deploy.docker.engine import MADE
from tests.deploy.docker.packages import REPOSITORY

SERVICES = {
    "request-manager": "request_manager",
    "agent-service": "agent_service",
    "integration-dispatcher": "integration_dispatcher",
    "servicenow-mcp": "servicenow_mcp",
}
IMAGES = (*SERVICES, "migrations")
MOST_BYTES = 250 * 10**6
# As OpenShift starts them: any user of group 0, nothing writable but /tmp, no rights.
STRANGER = ("--user", "1000930000:0", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", "none")
STRANGER_MORE = ("--security-opt", "no-new-privileges")


def image(compose: Compose, name: str) -> str:
    return f"{compose.variables['IMAGE_PREFIX']}/{name}:{MADE}"


def revision() -> str:
    head = ("git", "rev-parse", "HEAD")
    return subprocess.run(head, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False).stdout.strip()


def run_as_stranger(compose: Compose, name: str, *command: str) -> str:
    """What it prints on either stream, and its exit code in the last line."""
    script = 'import subprocess, sys; done = subprocess.run(sys.argv[1:], stderr=subprocess.STDOUT); print("exit", done.returncode)'
    python = ("/app/bin/python", "-c", script)
    return compose.engine.docker("run", "--rm", *STRANGER, *STRANGER_MORE, image(compose, name), *python, *command)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_adds_at_most_250_mb_to_its_base(compose: Compose, name: str) -> None:
    layers = compose.engine.docker(
        "history", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", image(compose, name)
    )
    own = [line for line in layers.splitlines() if "/app" in line]
    assert sum(int(line.split(" ", 1)[0]) for line in own) <= MOST_BYTES


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_labelled_and_runs_as_nobody_in_particular(compose: Compose, name: str) -> None:
    config = json.loads(compose.inspect(image(compose, name), "{{json .Config}}"))
    assert config["User"] == "1001:0"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert config["Labels"]["org.opencontainers.image.revision"] == revision()
    assert config["Cmd"][0] == "/app/bin/python", "no shell stands between the signal and the service"
    assert not config.get("Entrypoint")
    check = config["Healthcheck"]["Test"]
    assert check == (["NONE"] if name == "migrations" else ["CMD", "/app/bin/python", "-m", "shared_models.probe"])


@pytest.mark.parametrize(("name", "module"), SERVICES.items())
def test_a_service_starts_as_a_stranger_and_names_what_it_lacks(compose: Compose, name: str, module: str) -> None:
    output = run_as_stranger(compose, name, "/app/bin/python", "-m", module)
    assert "cannot start" in output, output
    assert "Traceback" not in output
    assert not output.endswith("exit 0\n")


@pytest.mark.parametrize(("name", "module"), SERVICES.items())
def test_an_image_holds_its_service_and_no_stand_in(compose: Compose, name: str, module: str) -> None:
    found = "import importlib.util as u, sys; print(*[name for name in sys.argv[1:] if u.find_spec(name)])"
    others = ["local_stack", "self_service_cli", "tests", "pytest", "pandas", *SERVICES.values()]
    output = compose.engine.docker(
        "run", "--rm", *STRANGER, image(compose, name), "/app/bin/python", "-c", found, *others
    )
    assert output.split() == [module]


def test_the_migrations_name_the_missing_database(compose: Compose) -> None:
    output = run_as_stranger(compose, "migrations", "/app/bin/python", "-m", "shared_models.migrate")
    assert "DATABASE_URL is not set" in output
