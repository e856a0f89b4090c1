"""`python -m local_stack.slack --port N --state-dir DIR` runs the Slack stand-in until it is stopped.

The app's address and the secrets that both sides share come from the environment; see settings.py."""

import httpx

from local_stack.program import options, serve, settings_of
from local_stack.slack.app import create_app
from local_stack.slack.settings import SlackStandinSettings
from local_stack.slack.standin import Standin


def main() -> None:
    chosen = options("local_stack.slack", __doc__, port=8088, state="what was said").parse_args()
    http = httpx.AsyncClient(trust_env=False)
    serve(create_app(Standin(settings_of(SlackStandinSettings), http, chosen.state_dir)), chosen)


if __name__ == "__main__":
    main()
