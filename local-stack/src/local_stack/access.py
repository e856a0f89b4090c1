"""The demo people and their API keys, kept stable over restarts in the `env` file."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from local_stack.problems import LaunchProblem
from local_stack.processes import Pause
from local_stack.programs import get_status, output_of
from local_stack.servicenow.demo import demo_person
from local_stack.state import read_env, write_env


@dataclass(frozen=True)
class DemoPerson:
    """`variable` names the person's token in the `env` file."""

    email: str
    name: str
    role: str
    variable: str


OPERATOR = DemoPerson("olivia@example.com", "Olivia Operator", "operator", "SSA_OPERATOR_TOKEN")


def employee() -> DemoPerson:
    """The person of the ServiceNow stand-in whose laptop is due for a refresh."""
    person = demo_person()
    return DemoPerson(person.email, person.name, "user", "SSA_TOKEN")


@dataclass(frozen=True)
class Access:
    url: str
    token: str = field(repr=False)
    operator_token: str = field(repr=False)


@dataclass(frozen=True)
class Bootstrap:
    """How keys are made: request_manager.bootstrap, and the running request-manager at `port` to try them on."""

    port: int
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    pause: Pause = time.sleep

    def ensure_key(self, person: DemoPerson, known: str) -> str:
        """`known` if it is accepted, else a key of this person, which is `known` again where possible."""
        if known and get_status(self.port, "/api/v1/users/me", {"authorization": f"Bearer {known}"}) == HTTPStatus.OK:
            return known
        command = [sys.executable, "-m", "request_manager.bootstrap"]
        command += ["--email", person.email, "--role", person.role, "--name", person.name]
        if known:
            command += ["--api-key", known]
        printed = output_of(command, env=self.environment, log=self.log, pause=self.pause)
        try:
            return str(json.loads(printed)["api_key"])
        except (ValueError, KeyError, TypeError) as exc:
            raise LaunchProblem(f"request_manager.bootstrap printed no key (log: {self.log})") from exc


def ensure_access(state_dir: Path, bootstrap: Bootstrap) -> Access:
    """Keys of the demo people, those of the last run while they are valid. Writes the `env` file. Raises LaunchProblem."""
    known = read_env(state_dir)
    people = (employee(), OPERATOR)
    tokens = {each.variable: bootstrap.ensure_key(each, known.get(each.variable, "")) for each in people}
    access = Access(f"http://127.0.0.1:{bootstrap.port}", *tokens.values())
    write_env(state_dir, {"SSA_URL": access.url} | tokens)
    return access
