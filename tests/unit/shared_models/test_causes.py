"""The cause of a failure names what was wrong and never repeats a value."""

from collections.abc import Callable

import asyncpg
import pytest
from pydantic import BaseModel, ValidationError
from shared_models.causes import MAX_CAUSE_LENGTH, cause_of, traceback_of


class Body(BaseModel):
    number: int


def test_a_value_that_was_not_valid_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        Body.model_validate({"number": "my password"})
    assert cause_of(caught.value) == "ValidationError: not valid: number"
    refused = asyncpg.DataError("invalid input for query argument $1: 'my password'")
    assert cause_of(refused) == "DataError: the database refused a value"
    twice = asyncpg.UniqueViolationError("duplicate key value: my password")
    assert "password" not in cause_of(twice)


def test_other_causes_are_told_in_their_words_but_shortened() -> None:
    assert cause_of(ValueError("no such\x00 door")) == "ValueError: no such door"
    assert cause_of(ValueError("no such door"), is_named=False) == "no such door"
    assert len(cause_of(ValueError("x" * 9999))) == MAX_CAUSE_LENGTH


CANARY = "the\rpassword\nof\u2028hunter"


def refused_by_models() -> None:
    Body.model_validate({"number": CANARY})


def refused_by_the_database() -> None:
    error = asyncpg.CheckViolationError("new row violates a check")
    error.detail = f"Failing row contains (1, {CANARY})."
    raise error


def refused_as_an_argument() -> None:
    try:
        raise ValueError(f"no UUID: {CANARY}")
    except ValueError as exc:
        raise asyncpg.DataError(f"invalid input for query argument $1: {CANARY!r} ({exc})") from exc


@pytest.mark.parametrize("fail", [refused_by_models, refused_by_the_database, refused_as_an_argument])
def test_a_traceback_names_the_errors_and_never_repeats_a_value(fail: Callable[[], None]) -> None:
    with pytest.raises(Exception) as caught:
        fail()
    chained = RuntimeError("a bug: not ours")
    chained.__cause__ = caught.value
    grouped = ExceptionGroup("of a group", [chained])
    for error in (caught.value, chained, grouped):
        text = traceback_of(error)
        assert not any(word in text for word in ("password", "hunter"))
        assert type(caught.value).__name__ in text
        assert f"in {fail.__name__}" in text
    assert "a bug: not ours" in traceback_of(grouped)
