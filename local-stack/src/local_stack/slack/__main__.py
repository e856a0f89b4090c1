"""`python -m local_stack.slack --port N --state-dir DIR` runs the Slack stand-in until it is stopped.

The app's address and the secrets that both sides share come from the environment; see settings.py."""

import argparse
import os
import sys
from pathlib import Path

import httpx
import uvicorn
from pydantic import ValidationError
from shared_models.settings import SECRETS_DIR

from local_stack.slack.app import create_app
from local_stack.slack.settings import SlackStandinSettings
from local_stack.slack.standin import Standin


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local_stack.slack", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8088)
    parser.add_argument("--state-dir", type=Path, required=True, help="what was said")
    options = parser.parse_args(arguments)
    try:
        settings = SlackStandinSettings(_secrets_dir=os.environ.get(SECRETS_DIR))
    except ValidationError as exc:
        missing = [f"SLACK_STANDIN_{str(error['loc'][0]).upper()}: {error['msg']}" for error in exc.errors()]
        print("; ".join(missing), file=sys.stderr)
        return 2
    http = httpx.AsyncClient(trust_env=False)
    uvicorn.run(
        create_app(Standin(settings, http, options.state_dir)),
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
