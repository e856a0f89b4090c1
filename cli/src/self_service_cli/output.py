"""What the person and the script see: data on stdout, everything else on stderr."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

from pydantic import BaseModel, JsonValue
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from self_service_cli.cleaning import clean, clean_line, clean_markdown
from self_service_cli.failures import Failure

HIDDEN = "***"

type Document = BaseModel | JsonValue | Sequence[BaseModel]


class Output:
    """Prints for a person, or with `is_json` one JSON document for a script. Never prints a hidden word (the token)."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        self.is_lines = False
        self._hidden: list[str] = []
        # Read here, not when rich is imported. rich alone would drop the colours and keep bold and italics.
        colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
        self._console = Console(color_system=colours, highlight=False, markup=False, emoji=False)
        self._beside = Console(color_system=colours, highlight=False, markup=False, emoji=False, stderr=True)

    @property
    def is_terminal(self) -> bool:
        return self._console.is_terminal and not self.is_json

    def hide(self, secret: str) -> None:
        if secret:
            self._hidden.append(secret)

    def document(self, value: Document) -> None:
        """The JSON document of this command; with `is_lines` one of several, each on its line (JSON Lines).

        ASCII: no character in it can steer a terminal."""
        indent = None if self.is_lines else 2
        print(self._without_hidden(json.dumps(plain(value), indent=indent)), flush=True)

    def text(self, text: str) -> None:
        print(self._without_hidden(clean(text)))

    def piece(self, text: str) -> None:
        """A part of a text that is still growing."""
        print(self._without_hidden(clean(text)), end="", flush=True)

    def markdown(self, text: str) -> None:
        """Rendered on a terminal, else as it is. Links show where they lead."""
        if self.is_terminal:
            with self._console.capture() as rendered:
                self._console.print(Markdown(self._without_hidden(clean_markdown(text)), hyperlinks=False))
            # rich fills each line up with spaces, which nobody wants to copy
            print("\n".join(line.rstrip() for line in rendered.get().splitlines()))
        else:
            self.text(text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table on a terminal; else one line per row, cells separated by tabs, without a heading."""
        cells = [[self._without_hidden(clean_line(_word(cell))) for cell in row] for row in rows]
        if not self.is_terminal:
            for line in cells:
                print("\t".join(line))
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(Text(column), overflow="fold")
        for line in cells:
            table.add_row(*(Text(cell) for cell in line))
        self._console.print(table)

    def facts(self, pairs: Sequence[tuple[str, object]]) -> None:
        """Named values, one per line; empty ones are left out."""
        shown = [(name, _word(value)) for name, value in pairs if value not in (None, "", [])]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            print(self._without_hidden(f"{name:<{width}}  {clean_line(value)}"))

    def note(self, text: str) -> None:
        """Something for the person that is no data."""
        print(self._without_hidden(clean(text)), file=sys.stderr, flush=True)

    def progress(self, text: str) -> None:
        """A note on what goes on, for somebody who is looking."""
        if self._beside.is_terminal:
            self.note(text)

    def working(self, text: str) -> AbstractContextManager[object]:
        """Show on a terminal's stderr that something goes on inside."""
        return self._beside.status(text) if self._beside.is_terminal else nullcontext()

    def failure(self, failure: Failure) -> None:
        """One line, the hint, the request id; with `--json` also the document."""
        self.note(f"ssa: {clean_line(failure.message)}")
        if failure.hint:
            self.note(f"  {clean_line(failure.hint)}")
        if failure.request_id:
            self.note(f"  request id: {clean_line(failure.request_id)}")
        if self.is_json:
            self.document(failure.document or error_document(failure))

    def _without_hidden(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, HIDDEN)
        return text


def error_document(failure: Failure) -> JsonValue:
    words: dict[str, JsonValue] = {
        "code": failure.code,
        "message": failure.message,
        "hint": failure.hint,
        "request_id": failure.request_id,
        "exit_code": int(failure.exit_code),
    }
    return {"error": words}


def plain(value: Document) -> JsonValue:
    if isinstance(value, BaseModel):
        dumped: JsonValue = value.model_dump(mode="json")
        return dumped
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def _word(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
