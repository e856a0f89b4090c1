"""docs/install-compose.md as a newcomer reads it: each command works as written, in the order of the page."""

import re
import shlex

from tests.deploy.docker.compose import Compose, Json
from tests.support.helm import REPOSITORY

PAGE = (REPOSITORY / "docs" / "install-compose.md").read_text(encoding="utf-8")
SERVICES = ("request-manager", "agent-service", "integration-dispatcher")
# A line of a block, or words between backquotes; `&&` joins two.
WRITTEN = re.findall(r"^docker compose .*?(?=\s+#|$)|(?<=`)docker compose [^`]+(?=`)", PAGE, re.M)
OPERATORS_LINE = re.compile(r"docker compose run .*SSA_TOKEN=.* list")
COMMANDS = [command.strip() for written in WRITTEN for command in written.split("&&")]


def modes(compose: Compose) -> set[str]:
    return {str(compose.details(service)["mode"]) for service in SERVICES}


def test_each_command_of_the_page_works_in_its_order(compose: Compose) -> None:
    said: Json = {}
    try:
        for number, command in enumerate(COMMANDS):
            said[command] = compose.shell(command)
            for pasted in OPERATORS_LINE.findall(said[command]):
                said["the operator's line"] = compose.shell(pasted)
            if command.endswith("up --wait"):
                assert modes(compose) == {"eventing" if "--profile eventing" in command else "direct"}, number
    finally:
        compose.down()
    assert "Token of" in said["docker compose logs --no-log-prefix access"]
    assert "the operator's line" in said, said["docker compose logs --no-log-prefix access"]
    assert "laptop" in said['docker compose run --rm ssa ask "I need a new laptop"']
    assert compose("ps", "--all", "--quiet") == ""
    label = f"label=com.docker.compose.project={compose.variables['COMPOSE_PROJECT_NAME']}"
    assert compose.engine.docker("volume", "ls", "--quiet", "--filter", label) == ""


def test_the_page_starts_changes_the_mode_and_ends() -> None:
    assert COMMANDS[:3] == ["docker compose version", "docker compose build", "docker compose up --wait"]
    assert "docker compose --profile eventing up --wait" in COMMANDS
    assert shlex.split(COMMANDS[-1]) == shlex.split('docker compose --profile "*" down --volumes')
