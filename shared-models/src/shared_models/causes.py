"""Why something failed, in words that operators read."""

import traceback
from collections.abc import Iterator

import asyncpg
from pydantic import ValidationError

MAX_CAUSE_LENGTH = 500
MAX_FIELDS = 10
LEFT_OUT = "(left out, as it may repeat a value)"
BARS = " |"
"""Stand before each line of an error in a group."""
# The texts of these errors repeat the values, which may be a person's words.
TELLS_VALUES = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


def cause_of(error: BaseException, *, is_named: bool = True) -> str:
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


def traceback_of(error: BaseException) -> str:
    """The traceback with all causes, for a log, without the texts that repeat values."""
    telling = {line.strip(BARS) for each in _telling(error, set()) for line in str(each).splitlines()} - {""}
    told: list[str] = []
    for line in "".join(traceback.format_exception(error)).splitlines():
        name, is_named, words = line.partition(": ")
        if line.strip(BARS) in telling:
            if not (told and told[-1].endswith(LEFT_OUT)):
                told.append(LEFT_OUT)
        else:
            told.append(f"{name}: {LEFT_OUT}" if is_named and words.strip(BARS) in telling else line)
    return "\n".join(told)


def _telling(error: BaseException, seen: set[int], *, is_telling: bool = False) -> Iterator[BaseException]:
    """The errors of a chain whose texts repeat values, and what each came from: that repeats them as well."""
    if id(error) in seen:
        return
    seen.add(id(error))
    is_telling = is_telling or isinstance(error, (ValidationError, *TELLS_VALUES))
    if is_telling:
        yield error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for each in (error.__cause__, error.__context__, *inner):
        if each is not None:
            yield from _telling(each, seen, is_telling=is_telling)
