"""Every `ssa` line that the documentation shows is one that the program takes."""

import re
import shlex
from pathlib import Path

import httpx
import pytest
from self_service_cli.command import Surroundings

from tests.support.cli import REQUEST_ID, FakeLogins, problem, ssa

ROOT = Path(__file__).parents[3]
PAGES = ("docs/cli.md", "docs/operations.md", "README.md")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|[|(] *|\.venv/bin/)ssa ((?:[^|#)\n'\"]|'[^']*'|\"[^\"]*\")+)", re.MULTILINE)


def documented() -> list[str]:
    """The arguments of each call in a shell block, placeholders filled in."""
    found = []
    for page in PAGES:
        for block in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
            found += [arguments.strip() for arguments in COMMAND.findall(block)]
    return [re.sub(r"\bID\b|\$id|DELIVERY_ID", str(REQUEST_ID), arguments) for arguments in found]


def test_the_documentation_shows_commands() -> None:
    assert len(documented()) > 10


@pytest.mark.parametrize("line", documented())
def test_a_documented_command_is_taken(line: str) -> None:
    def http() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(lambda _: problem(404, "not_found")))

    stdin = '{"secret": "whsec_x"}' if "--config-file" in line else "x\n"
    around = Surroundings(create_http=http, logins=FakeLogins())
    result = ssa(*shlex.split(line), surroundings=around, stdin=stdin)
    assert result.exit_code in (1, 3), result.output
