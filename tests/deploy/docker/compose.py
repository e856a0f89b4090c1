"""docker compose as a person uses it, and the product behind its published port."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from local_stack.problems import LaunchProblem

from tests.deploy.docker.engine import Engine
from tests.support.waiting import eventually_blocking

API = "http://127.0.0.1:8080"
ANSWERS_WITHIN_S = 300.0
ENDS = ("completed", "failed", "expired", "cancelled")

type Json = dict[str, Any]


@dataclass
class Compose:
    """`variables`: the environment of docker compose. `files`: of which files it is made."""

    engine: Engine
    variables: dict[str, str]
    files: tuple[str, ...] = ("docker-compose.yml",)

    def __call__(self, *arguments: str) -> str:
        return self.engine.docker(*self._command(arguments), **self.variables)

    def shell(self, command: str) -> str:
        """What a line of a page prints, with the Compose files that a reader has."""
        return self.engine.shell(command, **self.variables)

    def started(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """A command that goes on, with pipes at all its streams."""
        return self.engine.started(*self._command(arguments), **self.variables)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return ["compose", *(part for file in self.files for part in ("-f", file)), *arguments]

    def up(self, *profiles: str) -> None:
        """Returns when all is healthy."""
        chosen = [part for profile in profiles for part in ("--profile", profile)]
        try:
            self(*chosen, "up", "--detach", "--wait", "--no-build")
        except LaunchProblem as problem:
            raise AssertionError(f"{problem}\n{self('ps', '--all')}\n{self('logs', '--tail', '20')}") from problem

    @contextmanager
    def running(self, *profiles: str) -> Iterator[None]:
        """The whole system, from nothing; nothing is left of it."""
        try:
            self.up(*profiles)
            yield
        finally:
            self.down()

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
        """POST a question and wait for its answer, which a busy machine may tell later."""
        url, token = f"{API}/api/v1/requests", self.token()
        answer: Json = self.fetch(f"{url}/cli", "POST", {"content": content, **fields}, bearer=token)
        result = f"{url}/{answer['request_id']}/result?wait=20"

        def ended() -> Json | None:
            told: Json = answer if answer["status"] in ENDS else self.fetch(result, bearer=token)
            return told if told["status"] in ENDS else None

        told = eventually_blocking(ended, within_s=ANSWERS_WITHIN_S, every_s=0.5)
        assert told is not None
        assert told["status"] == "completed", told
        return told

    def fetch(self, url: str, method: str = "GET", body: Json | None = None, *, bearer: str = "") -> Any:
        """The JSON of a published port, by curl."""
        options = ("--silent", "--show-error", "--max-time", "120", "--request", method)
        sent = ("--data", json.dumps(body), "-H", "Content-Type: application/json") if body is not None else ()
        signed = ("-H", f"Authorization: Bearer {bearer}") if bearer else ()
        return json.loads(self.engine.inside("curl", *options, *sent, *signed, url))

    def python(self, service: str, program: str) -> Any:
        """What a program prints, as JSON, in a container of the service."""
        return json.loads(self("exec", "-T", service, "/app/bin/python", "-c", program))

    def details(self, service: str) -> Json:
        """What the service tells operators of itself, asked from inside its container."""
        program = (
            "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/health/detailed').read().decode())"
        )
        value: Json = self.python(service, program)
        return value
