"""The demo people and their API keys, kept stable over restarts in the `env` file."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local_stack.problems import LaunchProblem
from local_stack.processes import Pause
from local_stack.programs import get_status, output_of
from local_stack.state import read_env, write_env


@dataclass(frozen=True)
class DemoPerson:
    """`variable` names the person's token in the `env` file."""

    email: str
    name: str
    role: str
    variable: str


# The first has a laptop in the ServiceNow stand-in that is due for a refresh.
EMPLOYEE = DemoPerson("alice.johnson@example.com", "Alice Johnson", "user", "SSA_TOKEN")
OPERATOR = DemoPerson("olivia.operator@example.com", "Olivia Operator", "operator", "SSA_OPERATOR_TOKEN")


@dataclass(frozen=True)
class Access:
    url: str
    token: str = field(repr=False)
    operator_token: str = field(repr=False)


def ensure_access(
    state_dir: Path, port: int, environment: Mapping[str, str], log: Path, pause: Pause = time.sleep
) -> Access:
    """Keys of the demo people that request-manager at `port` accepts: those of the last run while they are valid.

    Writes the `env` file. `environment` is the one of the bootstrap program. Raises LaunchProblem."""
    known = read_env(state_dir)
    url = f"http://127.0.0.1:{port}"
    tokens = [_ensure_key(person, known.get(person.variable, ""), port, environment, log, pause) for person in PEOPLE]
    write_env(
        state_dir, {"SSA_URL": url} | {person.variable: token for person, token in zip(PEOPLE, tokens, strict=True)}
    )
    return Access(url, *tokens)


PEOPLE = (EMPLOYEE, OPERATOR)


def _ensure_key(
    person: DemoPerson, known: str, port: int, environment: Mapping[str, str], log: Path, pause: Pause
) -> str:
    if known and get_status(port, "/api/v1/users/me", {"authorization": f"Bearer {known}"}) == 200:
        return known
    command = [sys.executable, "-m", "request_manager.bootstrap"]
    command += ["--email", person.email, "--role", person.role, "--name", person.name]
    if known:
        command += ["--api-key", known]
    printed = output_of(command, env=environment, log=log, pause=pause)
    try:
        return str(json.loads(printed)["api_key"])
    except (ValueError, KeyError, TypeError) as exc:
        raise LaunchProblem(f"request_manager.bootstrap printed no key (log: {log})") from exc
