"""The cause of a failure names what was wrong and never repeats a value."""

import asyncpg
import pytest
from pydantic import BaseModel, ValidationError
from shared_models.causes import MAX_CAUSE_LENGTH, cause_of


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
