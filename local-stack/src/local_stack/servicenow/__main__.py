"""`python -m local_stack.servicenow --port N --state-dir DIR` runs the ServiceNow stand-in until it is stopped.

The key that callers must send comes from SERVICENOW_STANDIN_API_KEY; see settings.py for the other ways to sign in."""

import argparse
import os
import sys
from pathlib import Path

import uvicorn
from pydantic import ValidationError
from shared_models.settings import SECRETS_DIR

from local_stack.servicenow.app import Standin, create_app
from local_stack.servicenow.settings import StandinSettings


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local_stack.servicenow", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8087)
    parser.add_argument("--state-dir", type=Path, required=True, help="tickets, people and the log of calls")
    options = parser.parse_args(arguments)
    try:
        standin = Standin(options.state_dir, StandinSettings(_secrets_dir=os.environ.get(SECRETS_DIR)))
    except ValidationError as exc:
        print("; ".join(error["msg"] for error in exc.errors()), file=sys.stderr)
        return 2
    uvicorn.run(
        create_app(standin),
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
