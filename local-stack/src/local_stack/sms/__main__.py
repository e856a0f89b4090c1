"""`python -m local_stack.sms --port N --state-dir DIR` runs the SMS stand-in and the webhook inbox until it is stopped.

Both in one process, which takes less memory; the secrets come from the environment, see settings.py."""

import httpx

from local_stack.program import options, serve, settings_of
from local_stack.sms.app import create_app
from local_stack.sms.people import phones, user_names
from local_stack.sms.settings import SmsStandinSettings
from local_stack.sms.standin import SmsStandin
from local_stack.webhook_inbox.inbox import WebhookInbox


def main() -> None:
    parser = options("local_stack.sms", __doc__, port=8094, state="messages, and what webhooks received")
    chosen = parser.parse_args()
    settings = settings_of(SmsStandinSettings)
    standin = SmsStandin(settings, httpx.AsyncClient(trust_env=False), chosen.state_dir, phones())
    serve(create_app(standin, WebhookInbox(chosen.state_dir, user_names(), settings.receivers_url)), chosen)


if __name__ == "__main__":
    main()
