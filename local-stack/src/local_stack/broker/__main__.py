"""`python -m local_stack.broker --port N` runs the stand-in for Knative's broker until it is stopped. Development only.

The environment (settings.py) names the database, the key of the services' tokens and the subscribers' addresses."""

import argparse
import os
import socket
import sys
from pathlib import Path

import uvicorn
from pydantic import ValidationError
from shared_models import faults
from shared_models.logging import configure_logging
from shared_models.settings import SECRETS_DIR

from local_stack.broker.app import create_app
from local_stack.broker.settings import BrokerSettings
from local_stack.problems import LaunchProblem


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local_stack.broker", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8085, help="0 takes a free one")
    options = parser.parse_args(arguments)
    try:
        settings = BrokerSettings(_secrets_dir=os.environ.get(SECRETS_DIR))
        configure_logging("local-broker", level=settings.log_level, log_format=settings.log_format)
        faults.arm(Path(settings.faults_dir) if settings.faults_dir else None)
        app = create_app(settings)
    except ValidationError as exc:
        print("; ".join(f"{error['loc'][0]}: {error['msg']}" for error in exc.errors()), file=sys.stderr)
        return 2
    except LaunchProblem as exc:
        print(exc, file=sys.stderr)
        return 2
    listener = socket.create_server((options.host, options.port), backlog=512)
    print(f"The local broker listens on http://{options.host}:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
