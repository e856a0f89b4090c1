"""Files of a PostgreSQL cluster: its pid file, its socket folder, its password.

Source: https://www.postgresql.org/docs/18/storage-file-layout.html"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

SUPERUSER = "postgres"
LONGEST_SOCKET_PATH = 100  # the system's limit is 104 (macOS) or 108 bytes
SOCKET_PREFIX = "ssa-pg-"


@dataclass(frozen=True)
class PostmasterFile:
    """What `postmaster.pid` tells of a running server; `status` is "ready", "starting", "stopping" or empty."""

    pid: int
    port: int
    socket_folder: str
    status: str


def read_postmaster_file(data: Path) -> PostmasterFile | None:
    """None when there is no file; one that is being written reads as one without a status."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    lines += [""] * (8 - len(lines))
    pid, port = (int(text) if text.strip().isdigit() else 0 for text in (lines[0], lines[3]))
    return PostmasterFile(pid, port, lines[4].strip(), lines[7].strip())


def initdb_command(programs: Path, data: Path, password_file: Path) -> list[str]:
    return [
        str(programs / "initdb"),
        "--no-sync",  # the files of an empty cluster need no care; the server itself syncs
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth-host=scram-sha-256",
        "--auth-local=scram-sha-256",
        f"--pgdata={data}",
    ]


def socket_folder(cluster: Path) -> Path:
    """A private folder with a short name, made if need be: the system limits the length of a socket's path."""
    folder = cluster / "socket"
    if len(os.fsencode(folder / ".s.PGSQL.65535.lock")) > LONGEST_SOCKET_PATH:
        folder = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX))
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def remove_socket_folder(folder: Path) -> None:
    """Deletes a folder that `socket_folder` made in the temporary folder, and only such a one."""
    if folder.name.startswith(SOCKET_PREFIX) and folder.parent == Path(tempfile.gettempdir()):
        shutil.rmtree(folder, ignore_errors=True)


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner reads."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
