"""Reading what a person types or a script pipes in."""

import importlib
import sys
from contextlib import suppress

from shared_models.schemas import MAX_CONTENT_LENGTH

from self_service_cli.failures import usage

with suppress(ImportError):
    importlib.import_module("readline")  # gives input() its keys; some Pythons come without it


def read_text() -> str:
    """All of stdin. Raises Failure (usage) when it is longer than a question may be."""
    text = sys.stdin.read(MAX_CONTENT_LENGTH + 1)
    if len(text) > MAX_CONTENT_LENGTH:
        raise usage(f"A question may have {MAX_CONTENT_LENGTH} characters at most.")
    return text.strip()


def read_line(prompt: str) -> str | None:
    """The next line without its end, None after the last one. The prompt is shown to a person only."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        try:
            return input(prompt)
        except EOFError:
            print(file=sys.stderr)  # Ctrl-D leaves the cursor behind the prompt
            return None
    if sys.stdin.isatty():
        print(prompt, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None
