"""Why something failed, in words that operators read."""

import asyncpg
from pydantic import ValidationError

MAX_CAUSE_LENGTH = 500
MAX_FIELDS = 10
# The texts of these errors repeat the values, which may be a person's words.
TELLS_VALUES = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


def cause_of(error: Exception) -> str:
    """The kind of the error and its text, shortened; without the values that were not valid."""
    name = type(error).__name__
    if isinstance(error, ValidationError):
        fields = sorted({".".join(map(str, each["loc"])) for each in error.errors(include_input=False)})
        text = f"not valid: {', '.join(fields[:MAX_FIELDS])}"
    elif isinstance(error, TELLS_VALUES):
        text = "the database refused a value"
    else:
        text = str(error)
    return f"{name}: {text}"[:MAX_CAUSE_LENGTH].replace("\x00", "")
