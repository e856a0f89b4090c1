"""Encoded queries: the one place that builds `sysparm_query`.

A value never changes the query: `^` is doubled, and what ServiceNow would run or cannot hold is refused.
Source: ServiceNow, encoded query strings; Table API, `sysparm_query`."""

import re
from collections.abc import Mapping

FIELD = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
SCRIPT = re.compile(r"\s*(javascript|dynamic)\s*:?", re.IGNORECASE)
MAX_VALUE_LENGTH = 255


class UnsafeValue(ValueError):
    """The value cannot be part of an encoded query. No record can hold it, so a look-up by it finds nothing."""


def encoded_query(equal: Mapping[str, str], *, newest_first_by: str = "") -> str:
    """Return the query for records whose fields equal these values. Raises UnsafeValue."""
    parts = [f"{_field(field)}={_value(value)}" for field, value in equal.items()]
    if newest_first_by:
        parts.append("ORDERBYDESC" + _field(newest_first_by))
    return "^".join(parts)


def _field(name: str) -> str:
    if not FIELD.fullmatch(name):
        raise ValueError(f"not a field name: {name!r}")
    return name


def _value(value: str) -> str:
    """An empty value would match every record without the field; `javascript:` is run by ServiceNow."""
    if not value.strip() or len(value) > MAX_VALUE_LENGTH:
        raise UnsafeValue("empty or too long")
    if not value.isprintable():
        raise UnsafeValue("holds characters that cannot be printed")
    if SCRIPT.match(value):
        raise UnsafeValue("would be run as a script")
    return value.replace("^", "^^")
