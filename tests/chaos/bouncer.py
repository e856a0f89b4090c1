"""pgbouncer in transaction mode between the services and the database; installed where that is possible.

Source of the settings: https://www.pgbouncer.org/config.html"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from local_stack import die_with_parent
from local_stack.ports import free_port
from local_stack.postgres_binaries import server_identity
from local_stack.programs import Program
from local_stack.settings import inherited_environment

NAME = "pgbouncer"
WAYS = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin", "DEBIAN_FRONTEND": "noninteractive"}


class NoBouncer(Exception):
    """It is not here and cannot be installed; the text says what to do."""


def find_or_install() -> str:
    """The program's path. Raises NoBouncer."""
    found = shutil.which(NAME, path=WAYS["PATH"])
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", NAME]):
            subprocess.run(command, env=WAYS, capture_output=True, timeout=300, check=False)
        found = shutil.which(NAME, path=WAYS["PATH"])
    if found is None:
        raise NoBouncer("The runs behind pgbouncer need it: install the package pgbouncer, then run again")
    return found


def bouncer(folder: Path, database_url: str) -> tuple[Program, str]:
    """The program, and the URL that services are to use. `folder` must be open to the user nobody. Raises NoBouncer."""
    path, address, port = find_or_install(), urlsplit(database_url), free_port()
    password = unquote(address.password or "")
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"""[databases]
* = host=127.0.0.1 port={address.port} user={address.username} password='{password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
server_login_retry = 1
ignore_startup_parameters = role, jit, plan_cache_mode, enable_seqscan
"""
    )
    url = f"postgresql://{address.username}@127.0.0.1:{port}{address.path}"
    return Program(NAME, [*_as_nobody(), path, str(config)], inherited_environment(), port), url


def _as_nobody() -> list[str]:
    """It refuses to run as root; and a change of user by itself would make it outlive us."""
    identity = server_identity()
    if identity is None:
        return []
    wrapper = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), str(int(signal.SIGTERM))]
    return [*wrapper, f"{identity.uid}:{identity.gid}"]
