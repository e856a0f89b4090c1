"""The examples of the API's page run as they stand, one after the other in one shell."""

import asyncio
import re
from pathlib import Path

from tests.support.system import REPOSITORY, System

PAGE = REPOSITORY / "docs" / "api.md"
ENV_FILE = ". .local/env"


def examples() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


async def test_every_example_of_the_page_works(system: System, tmp_path: Path) -> None:
    env = tmp_path / "env"
    env.write_text(f"SSA_URL={system.url}\nSSA_TOKEN={await system.key_of('alice')}\n")
    script = "set -euo pipefail\n" + "\necho\n".join(examples()).replace(ENV_FILE, f". {env}")
    assert str(env) in script
    pipe = asyncio.subprocess.PIPE
    shell = await asyncio.create_subprocess_exec("bash", "-c", script, stdout=pipe, stderr=pipe)
    out, err = await shell.communicate()
    assert shell.returncode == 0, out.decode()[-2000:] + err.decode()
    for word in ('"status":"completed"', "event: answer", '"rating":"up"', '"api_key":"ssa_'):
        assert word in out.decode(), word
    await system.idle()
    assert await system.test_messages("alice")  # the page reads them too, perhaps a moment before they are there
