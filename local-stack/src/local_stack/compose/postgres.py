"""`python -m local_stack.compose.postgres FOLDER`: PostgreSQL with pgvector in a container, until SIGTERM. Development only.

The password is the file `password` of SECRETS_DIR. `--is-ready` asks a running one, for the health check."""

import argparse
import os
import sys
import time
from pathlib import Path

from local_stack.postgres import ClusterOptions, PostgresCluster
from local_stack.postgres_files import read_postmaster_file
from local_stack.problems import LaunchProblem
from local_stack.stopping import StopRequested, StopSignals

PORT = 5432
# The other containers come over the network: with the password, as everybody.
ACCESS = "local all all scram-sha-256\nhost all all all scram-sha-256\n"
SETTINGS = (("listen_addresses", "*"), ("max_connections", "200"))


def is_ready(folder: Path) -> bool:
    file = read_postmaster_file(folder / "data")
    return file is not None and file.status == "ready"


def serve(folder: Path, password: str) -> None:
    """Raises LaunchProblem when the server does not start or ends by itself."""
    access = folder / "pg_hba.conf"
    folder.mkdir(parents=True, exist_ok=True)
    access.write_text(ACCESS)
    signals = StopSignals()
    settings = (*SETTINGS, ("hba_file", str(access)))
    options = ClusterOptions(port=PORT, settings=settings, password=password)
    cluster = PostgresCluster(folder, log=folder / "postgres.log", options=options, pause=signals.pause)
    try:
        cluster.start()
        while cluster.is_running():
            signals.pause(0.5)
        raise LaunchProblem("PostgreSQL has ended")
    except StopRequested:
        pass
    finally:
        cluster.stop()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local_stack.compose.postgres", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--is-ready", action="store_true")
    options = parser.parse_args(arguments)
    if options.is_ready:
        return 0 if is_ready(options.folder) else 1
    began_s = time.monotonic()
    try:
        serve(options.folder, (Path(os.environ["SECRETS_DIR"]) / "password").read_text())
    except LaunchProblem as problem:
        print(f"{problem} (after {time.monotonic() - began_s:.0f} s)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
