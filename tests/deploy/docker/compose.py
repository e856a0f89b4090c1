"""docker compose as a person uses it, and the product behind its published port."""

import json
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

from local_stack.problems import LaunchProblem

from tests.deploy.docker.engine import Engine

API = "http://127.0.0.1:8080"

type Json = dict[str, Any]


@dataclass
class Compose:
    """`variables`: the environment of docker compose. `files`: of which files it is made."""

    engine: Engine
    variables: dict[str, str]
    files: tuple[str, ...] = ("docker-compose.yml",)
    took_s: dict[str, float] = field(default_factory=dict)

    def __call__(self, *arguments: str) -> str:
        return self.engine.docker(*self._command(arguments), **self.variables)

    def started(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """A command that goes on, with pipes at all its streams."""
        return self.engine.started(*self._command(arguments), **self.variables)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return ["compose", *(part for file in self.files for part in ("-f", file)), *arguments]

    def up(self, *profiles: str, more: tuple[str, ...] = ()) -> None:
        """Returns when all is healthy; `took_s` tells how long that took."""
        began_s = time.monotonic()
        chosen = [part for profile in profiles for part in ("--profile", profile)]
        try:
            self(*chosen, "up", "--detach", "--wait", "--no-build", *more)
        except LaunchProblem as problem:
            raise AssertionError(f"{problem}\n{self('ps', '--all')}\n{self('logs', '--tail', '20')}") from problem
        self.took_s["up " + " ".join(profiles)] = time.monotonic() - began_s

    def down(self) -> None:
        self("--profile", "*", "down", "--volumes", "--timeout", "5")

    def containers(self, service: str) -> list[str]:
        """The full ids of its running containers."""
        return self("ps", "--quiet", service).split()

    def inspect(self, container: str, form: str) -> str:
        return self.engine.docker("inspect", "--format", form, container).strip()

    def token(self) -> str:
        """A demo person's, as `docker compose logs access` shows it."""
        log = self("logs", "--no-color", "--no-log-prefix", "access")
        lines = [line.split(": ", 1)[1] for line in log.splitlines() if "Token of" in line]
        return lines[-1].strip()

    def ask(self, content: str, **fields: str) -> Json:
        """POST a question with curl, through the published port."""
        reply = self.engine.inside(
            *("curl", "--silent", "--show-error", "--max-time", "60", f"{API}/api/v1/requests/cli"),
            *("-H", f"Authorization: Bearer {self.token()}", "-H", "Content-Type: application/json"),
            *("-d", json.dumps({"content": content, **fields})),
        )
        answer: Json = json.loads(reply)
        assert answer.get("status") == "completed", answer
        return answer

    def details(self, service: str) -> Json:
        """What the service tells operators of itself, asked from inside its container."""
        program = (
            "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/health/detailed').read().decode())"
        )
        value: Json = json.loads(self("exec", "-T", service, "/app/bin/python", "-c", program))
        return value
