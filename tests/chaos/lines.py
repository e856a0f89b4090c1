"""Files of JSON lines that survive the death of their writer: each line is on the disk before the writer goes on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

type Json = dict[str, Any]


class Lines:
    """One process appends; anybody may read."""

    def __init__(self, path: Path) -> None:
        self._target = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def add(self, **line: Any) -> None:
        os.write(self._target, json.dumps(line).encode() + b"\n")
        os.fsync(self._target)


def read_lines(path: Path) -> Iterator[Json]:
    """Whole lines only: the last one may be torn. None when there is no file."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        yield json.loads(line)
