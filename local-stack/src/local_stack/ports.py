"""Finding free ports and saying who sits on a taken one."""

import secrets
import socket
from collections import deque
from contextlib import suppress

import psutil

from local_stack.problems import LaunchProblem

# Below the range from which the system picks ports for outgoing connections, so nobody takes one before its server does.
FREE_PORTS = range(15_000, 32_000)
TRIES = 200
# What was given and perhaps is not listened on yet: the next service of the same system must not get it as well.
_given: deque[int] = deque(maxlen=1_000)


def is_free(port: int) -> bool:
    """Whether a server may listen on 127.0.0.1:port. Connections of an earlier server that linger do not count."""
    with socket.socket() as caller:
        caller.settimeout(0.2)
        if caller.connect_ex(("127.0.0.1", port)) == 0:  # where binding beside a wildcard address is allowed (macOS)
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Another one each time. Raises LaunchProblem."""
    for _ in range(TRIES):
        port = secrets.choice(FREE_PORTS)
        if port not in _given and is_free(port):
            _given.append(port)
            return port
    raise LaunchProblem("No free port found on 127.0.0.1: close programs that listen")


def check_free(port: int, name: str, variable: str) -> None:
    """Raises LaunchProblem, one line that names the port, its holder if the system tells, and the way out."""
    if not is_free(port):
        holder = holder_of(port)
        by = f" by {holder}" if holder else ""
        raise LaunchProblem(f"Port {port} ({name}) is taken{by}: stop that program, or set {variable} to a free port")


def holder_of(port: int) -> str:
    """For example "python (pid 4711)"; empty when the system does not tell us."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
