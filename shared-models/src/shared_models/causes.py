"""Why something failed, in words that operators read."""

import asyncpg
from pydantic import ValidationError

MAX_CAUSE_LENGTH = 500
MAX_FIELDS = 10
# The texts of these errors repeat the values, which may be a person's words.
TELLS_VALUES = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


def cause_of(error: Exception, *, is_named: bool = True) -> str:
    """The kind of the error (not of our own verdicts) and its text, shortened; without the values that were not valid."""
    name = f"{type(error).__name__}: " if is_named else ""
    if isinstance(error, ValidationError):
        fields = sorted({".".join(map(str, each["loc"])) for each in error.errors(include_input=False)})
        text = f"not valid: {', '.join(fields[:MAX_FIELDS])}"
    elif isinstance(error, TELLS_VALUES):
        text = "the database refused a value"
    else:
        text = str(error)
    return f"{name}{text}"[:MAX_CAUSE_LENGTH].replace("\x00", "")
