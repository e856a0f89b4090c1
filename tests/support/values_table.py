"""The table of the chart's values in its README, made from values.yaml and the comments above its keys."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.support.helm import CHART

README = CHART / "README.md"
BEGIN, END = "<!-- values: made by `make values-table` -->", "<!-- end of values -->"
KEY = re.compile(r"^( *)([A-Za-z][\w./-]*):")
SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Row:
    key: str
    default: str
    meaning: str


def rows(text: str) -> Iterator[Row]:
    """A row for each key with a comment of its own, in the order of the file; one for a whole block that has but one."""
    values = yaml.safe_load(text)
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
            continue
        found = KEY.match(line)
        if found:
            indent, key = len(found[1]), found[2]
            path = [(at, name) for at, name in path if at < indent] + [(indent, key)]
            if comment:
                names = [name for _, name in path]
                yield Row(".".join(names), _shown(_value(values, names)), " ".join(comment))
        comment = []


def _value(values: Any, names: list[str]) -> Any:
    for name in names:
        values = values[name]
    return values


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return f"`{text}`" if len(text) <= SHOWN_CHARACTERS else ""


def table(text: str) -> str:
    lines = ["| value | default | meaning |", "|---|---|---|"]
    lines += [f"| `{row.key}` | {row.default} | {row.meaning.replace('|', '&#124;')} |" for row in rows(text)]
    return "\n".join(lines)


def with_table(page: str, text: str) -> str:
    """The page with the table of `text` between its marks. Raises ValueError when they are missing."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table(text)}\n{END}{after}"


if __name__ == "__main__":
    page = README.read_text(encoding="utf-8")
    README.write_text(with_table(page, (CHART / "values.yaml").read_text(encoding="utf-8")), encoding="utf-8")
