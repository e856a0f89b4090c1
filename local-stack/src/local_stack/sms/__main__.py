"""`python -m local_stack.sms --port N --state-dir DIR` runs the SMS stand-in and the webhook inbox until it is stopped.

Both in one process, which takes less memory; the secrets come from the environment, see settings.py."""

import argparse
import os
import sys
from pathlib import Path

import httpx
import uvicorn
from pydantic import ValidationError
from shared_models.settings import SECRETS_DIR

from local_stack.sms.app import create_app
from local_stack.sms.people import phones, user_names
from local_stack.sms.settings import SmsStandinSettings
from local_stack.sms.standin import SmsStandin
from local_stack.webhook_inbox.inbox import WebhookInbox


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local_stack.sms", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8094)
    parser.add_argument("--state-dir", type=Path, required=True, help="messages, and what webhooks received")
    options = parser.parse_args(arguments)
    try:
        settings = SmsStandinSettings(_secrets_dir=os.environ.get(SECRETS_DIR))
    except ValidationError as exc:
        print(
            "; ".join(f"SMS_STANDIN_{str(each['loc'][0]).upper()}: {each['msg']}" for each in exc.errors()),
            file=sys.stderr,
        )
        return 2
    standin = SmsStandin(settings, httpx.AsyncClient(trust_env=False), options.state_dir, phones())
    app = create_app(standin, WebhookInbox(options.state_dir, user_names(), settings.receivers_url))
    uvicorn.run(
        app, host=options.host, port=options.port, log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
