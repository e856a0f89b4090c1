"""`python -m shared_models.probe`: ends with 0 when the service of this container is ready. For HEALTHCHECK, where no curl is.

Asks PROBE_PATH (default /readyz) at PORT of the loopback interface. Imports nothing that takes time."""

import http.client
import os
import sys

TIMEOUT_S = 15.0  # a machine that is busy is not a service that is broken


def is_ready(port: int, path: str = "/readyz") -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_ready(int(os.environ["PORT"]), os.environ.get("PROBE_PATH", "/readyz")) else 1)
