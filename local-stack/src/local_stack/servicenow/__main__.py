"""`python -m local_stack.servicenow --port N --state-dir DIR` runs the ServiceNow stand-in until it is stopped.

The key that callers must send comes from SERVICENOW_STANDIN_API_KEY; see settings.py for the other ways to sign in."""

from local_stack.program import options, serve, settings_of
from local_stack.servicenow.app import Standin, create_app
from local_stack.servicenow.settings import StandinSettings


def main() -> None:
    parser = options("local_stack.servicenow", __doc__, port=8087, state="tickets, people and the log of calls")
    chosen = parser.parse_args()
    serve(create_app(Standin(chosen.state_dir, settings_of(StandinSettings))), chosen)


if __name__ == "__main__":
    main()
