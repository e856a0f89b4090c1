"""`python -m local_stack.compose.access FOLDER`: keys for the demo people, and one line to try. Development only.

Needs no more than the database; the `ssa` container, in request-manager's network, finds the key in FOLDER/env as in a checkout."""

import json
import os
import sys
from pathlib import Path

from local_stack.access import Bootstrap, employee, ensure_access
from local_stack.farewell import FIRST_WORDS
from local_stack.problems import LaunchProblem

PORT = 8080


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0])
    try:
        access = ensure_access(folder, Bootstrap(PORT, dict(os.environ), folder / "bootstrap.log"))
    except LaunchProblem as problem:
        print(problem, file=sys.stderr)
        return 1
    body = json.dumps({"content": FIRST_WORDS})
    print(f"Token of {employee().name}: {access.token}")
    print("Try it:")
    print(f"  curl -s {access.url}/api/v1/requests/cli -H 'Authorization: Bearer {access.token}' \\")
    print(f"    -H 'Content-Type: application/json' -d '{body}'")
    print("As an operator, see what was given up:")
    print(f"  docker compose run --rm -e SSA_TOKEN={access.operator_token} ssa dead-letters list")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
