"""`python -m local_stack up | reset | postgres`: the development stack of this checkout."""

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from local_stack.problems import LaunchProblem
from local_stack.reset import reset
from local_stack.runner import Runner, UpOptions, run_postgres
from local_stack.screen import Screen
from local_stack.settings import REPOSITORY, UpSettings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local_stack", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--state-dir", type=Path, default=REPOSITORY / ".local", help="where data, logs and secrets are"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", parents=[common], help="start everything; Ctrl-C ends it")
    up.add_argument("--free-ports", action="store_true", help="take any free ports instead of the usual ones")
    up.add_argument("--services-only", action="store_true", help="leave out the model server, to measure the rest")
    commands.add_parser("postgres", parents=[common], help="start only the embedded PostgreSQL and print its URL")
    clear = commands.add_parser(
        "reset", parents=[common], help="end what is left of earlier runs, delete all local data"
    )
    clear.add_argument("--all", action="store_true", help="also what was installed: the model servers and uv")
    chosen = parser.parse_args()
    state_dir = chosen.state_dir.resolve()
    screen = Screen()
    try:
        settings = UpSettings()
        if chosen.command == "reset":
            return reset(state_dir, screen, with_installed=chosen.all)
        if chosen.command == "postgres":
            return run_postgres(state_dir, settings, screen)
        options = UpOptions(state_dir, free_ports=chosen.free_ports, services_only=chosen.services_only)
        return Runner(options, settings, screen).run()
    except ValidationError as exc:
        wrong = exc.errors()[0]
        screen.problem(f"{str(wrong['loc'][0]).upper()}: {wrong['msg']}")
    except LaunchProblem as problem:
        screen.problem(str(problem))
    except OSError as exc:  # a full disk, or state that another user owns
        screen.problem(f"{exc.filename or state_dir}: {exc.strerror or exc}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
