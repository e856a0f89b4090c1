"""OGX, and Llama Stack 0.7 for tests: model servers with an environment of their own, in front of an OpenAI-compatible URL.

Use in tests: `with start_ogx(Upstream(url, model), folder) as server: ... server.url`. Source of the configuration:
https://ogx-ai.github.io/docs/distributions/configuration"""

import fcntl
import hashlib
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from local_stack.ports import free_port
from local_stack.problems import LaunchProblem
from local_stack.processes import Pause, last_lines
from local_stack.programs import Child, Program, run_once, wait_until_ready
from local_stack.settings import REPOSITORY, find_uv, inherited_environment

LOCKS = REPOSITORY / "local-stack"
ENVIRONMENTS = REPOSITORY / ".local"
READY_TIMEOUT_S = 300.0


class Kind(StrEnum):
    OGX = "ogx"
    LLAMA_STACK = "llama-stack"


@dataclass(frozen=True)
class Upstream:
    """The model behind the server. `url` ends in /v1; clients of the server call the model `llm/<model>`."""

    url: str
    model: str
    api_key: str = field(default="", repr=False)


def environment_folder(kind: Kind) -> Path:
    return ENVIRONMENTS / kind / "venv"


def is_installed(kind: Kind) -> bool:
    marker = environment_folder(kind) / "lock.sha256"
    return marker.exists() and marker.read_text() == _lock_hash(kind)


def install(kind: Kind, *, log: Path, pause: Pause = time.sleep) -> None:
    """Make the environment from the hash-pinned lock, unless it is there. Safe beside other runs. Raises LaunchProblem."""
    folder = environment_folder(kind)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_installed(kind):
            return
        uv = find_uv()
        requirements = LOCKS / kind / "requirements.txt"
        python = folder / "bin" / "python"
        for command in (
            [uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(requirements)],
        ):
            if run_once(command, env=inherited_environment(), log=log, pause=pause) != 0:
                words = " ".join(last_lines(log, 3))[:300]
                raise LaunchProblem(
                    f"{kind} cannot be installed: {words} (log: {log}); or set LLAMA_STACK_URL to a server"
                )
        (folder / "lock.sha256").write_text(_lock_hash(kind))


def _lock_hash(kind: Kind) -> str:
    text = (LOCKS / kind / "requirements.txt").read_bytes() + sys.version.encode()
    return hashlib.sha256(text).hexdigest()


def configuration(kind: Kind) -> dict[str, Any]:
    """The content of local-stack/ogx/config.yaml, in the form that this server reads."""
    config: dict[str, Any] = yaml.safe_load((LOCKS / "ogx" / "config.yaml").read_text())
    if kind is Kind.LLAMA_STACK:
        persistence = config["providers"]["responses"][0]["config"]["persistence"]
        persistence["agent_state"] = {"namespace": "responses", "backend": "kv_default"}
        config["storage"]["stores"]["prompts"] = {"namespace": "prompts", "backend": "kv_default"}
    return config


def program(kind: Kind, upstream: Upstream, folder: Path, port: int) -> Program:
    """The server's command and environment; writes its configuration. Its state and all it writes is in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(configuration(kind), sort_keys=False))
    programs = environment_folder(kind) / "bin"
    if kind is Kind.OGX:
        command = [str(programs / "ogx"), "run", str(config), "--port", str(port), "--insecure"]
    else:
        command = [str(programs / "llama"), "stack", "run", str(config), "--port", str(port)]
    return Program(kind, command, _environment(upstream, folder), port, ready_path="/v1/health")


def _environment(upstream: Upstream, folder: Path) -> Mapping[str, str]:
    return {
        **inherited_environment(),
        "STATE_DIR": str(folder),
        "LLM_URL": upstream.url,
        "LLM_MODEL": upstream.model,
        "LLM_API_KEY": upstream.api_key or "none",
        # As rich text an unexpected error stops the server for seconds.
        "OGX_LOG_FORMAT": "json",
        "LLAMA_STACK_LOG_FORMAT": "json",
        "OGX_CONFIG_DIR": str(folder / "home"),
        "LLAMA_STACK_CONFIG_DIR": str(folder / "home"),
    }


@contextmanager
def running(kind: Kind, upstream: Upstream, folder: Path) -> Iterator[Child]:
    """A ready server on a free port, installed first if need be; ended afterwards. Raises LaunchProblem."""
    install(kind, log=folder / "install.log")
    server = Child(program(kind, upstream, folder, free_port()), folder / "server.log")
    try:
        wait_until_ready([server], timeout_s=READY_TIMEOUT_S)
        yield server
    finally:
        server.stop()
