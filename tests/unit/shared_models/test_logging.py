"""A line of the log: JSON whatever is in it."""

import json
import logging
from collections.abc import Iterator
from io import StringIO
from uuid import UUID

import asyncpg
import pytest
import structlog
from pydantic import ValidationError
from shared_models.logging import as_json, configure_logging
from shared_models.schemas import Person

CANARY = "my password is hunter"


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """What is logged goes here, and then again where it went before."""
    config, root, stream = structlog.get_config(), logging.getLogger(), StringIO()
    handlers, level = root.handlers[:], root.level
    with structlog.contextvars.bound_contextvars(service="before"):
        configure_logging("under-test", stream=stream)
        yield stream
    structlog.configure(**config)
    root.handlers[:], root.level = handlers, level


def test_what_a_person_wrote_is_in_no_line_about_a_message_that_is_not_valid(lines: StringIO) -> None:
    for log in (structlog.get_logger(), logging.getLogger("a library")):
        try:
            Person.model_validate({"user_id": CANARY, "email": "a@example.com"})
        except ValidationError:
            log.exception("failed")
        try:
            int(CANARY)
        except ValueError as exc:
            try:
                raise asyncpg.DataError(f"invalid input: {exc}") from exc
            except asyncpg.DataError:
                log.exception("failed")
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [CANARY in str(line) for line in told] == [False] * 4
    assert all("Traceback" in line["exception"] for line in told)


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
