"""What the runner keeps in its state folder (`.local`): generated secrets, the run file, the file for the command line."""

import base64
import fcntl
import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local_stack.problems import LaunchProblem
from local_stack.processes import Started, find, stop_stranger

LEFTOVER_GRACE_S = 5.0


@dataclass(frozen=True)
class Secrets:
    """Made once per checkout. The keys that are bytes are base64: the signing key's 32-byte seed and its public key."""

    service_token_key: str = field(repr=False)
    identity_signing_key: str = field(repr=False)
    identity_public_key: str
    secrets_key: str = field(repr=False)
    servicenow_api_key: str = field(repr=False)
    sms_auth_token: str = field(repr=False)
    mail_password: str = field(repr=False)
    slack_signing_secret: str = field(repr=False)
    slack_bot_token: str = field(repr=False)
    database_password: str = field(repr=False)

    @classmethod
    def generate(cls) -> "Secrets":
        key = Ed25519PrivateKey.generate()
        return cls(
            service_token_key=secrets.token_urlsafe(48),
            identity_signing_key=_base64(key.private_bytes_raw()),
            identity_public_key=_base64(key.public_key().public_bytes_raw()),
            secrets_key=_base64(secrets.token_bytes(32)),
            servicenow_api_key=secrets.token_urlsafe(24),
            sms_auth_token=secrets.token_hex(16),
            mail_password=secrets.token_urlsafe(24),
            slack_signing_secret=secrets.token_hex(16),
            slack_bot_token=f"xoxb-{secrets.token_urlsafe(24)}",
            database_password=secrets.token_urlsafe(24),
        )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable for its owner only."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.rename(path)


def load_secrets(folder: Path) -> Secrets:
    """The secrets of this state folder, made at the first call; a file that lacks one is completed."""
    path = folder / "secrets.json"
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):
        known = json.loads(path.read_text())
    complete = asdict(Secrets.generate()) | {
        each.name: known[each.name] for each in fields(Secrets) if isinstance(known.get(each.name), str)
    }
    if complete != known:
        write_private(path, json.dumps(complete, indent=1) + "\n")
    return Secrets(**complete)


class RunFile:
    """`run.json`: the processes of the present run, so that the next one can end what a kill -9 left."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "run.json"
        self._started: list[Started] = []

    def add(self, started: Started) -> None:
        self._started.append(started)
        write_private(self._path, json.dumps([asdict(each) for each in self._started], indent=1) + "\n")

    def remove(self) -> None:
        self._started.clear()
        self._path.unlink(missing_ok=True)

    def end_leftovers(self) -> list[str]:
        """End what an earlier run left, last started first; only processes that are surely the recorded ones.

        Returns their names."""
        ended = []
        for started in reversed(self.read()):
            process = find(started)
            if process is not None:
                stop_stranger(process, grace_s=LEFTOVER_GRACE_S)
                ended.append(started.name)
        self.remove()
        return ended

    def read(self) -> list[Started]:
        """Empty when there is no file, or one that nobody can read."""
        try:
            return [Started(**each) for each in json.loads(self._path.read_text())]
        except (OSError, ValueError, TypeError):
            return []


def take_run_lock(folder: Path) -> BinaryIO:
    """The lock of the one runner of this state folder; the system frees it when the runner ends, however it ends.

    Raises LaunchProblem when another runner has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "run.lock").open("a+b")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        pid = lock.read(20).decode(errors="replace").strip()
        lock.close()
        raise LaunchProblem(
            f"The stack already runs from {folder} (pid {pid}): end that one with Ctrl-C first"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()).encode())
    lock.flush()
    return lock


def read_env(folder: Path) -> dict[str, str]:
    """The values of the `env` file; empty when there is none."""
    try:
        lines = (folder / "env").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def write_env(folder: Path, values: dict[str, str]) -> None:
    """`env`: NAME=value lines that a shell can source and that `ssa` reads."""
    write_private(folder / "env", "".join(f"{name}={value}\n" for name, value in values.items()))
