"""A line of the log: JSON whatever is in it."""

import json
from uuid import UUID

from shared_models.logging import as_json


def test_a_line_is_json_with_ids_as_text() -> None:
    event = {"event": "http", "ms": 1.5, "id": UUID(int=7), "none": None}
    assert json.loads(as_json(event, repr)) == {"event": "http", "ms": 1.5, "id": str(UUID(int=7)), "none": None}


def test_a_line_is_ascii_and_one_line() -> None:
    line = as_json({"event": "Grüße \u2028 a\nb"}, repr)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line) == {"event": "Grüße \u2028 a\nb"}


def test_what_is_not_json_is_written_all_the_same() -> None:
    event = {"event": "x", "broken": "\ud800", "large": 2**70, "other": object}
    found = json.loads(as_json(event, lambda _value: "?"))
    assert found == {"event": "x", "broken": "\ud800", "large": 2**70, "other": "?"}
