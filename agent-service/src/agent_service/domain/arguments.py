"""Checks a tool call of the model before anything is done with it."""

from collections.abc import Mapping
from typing import Any

import orjson

MAX_ARGUMENTS_CHARS = 20_000
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


class ArgumentsInvalid(ValueError):
    """The text tells the model what to correct."""


def read_arguments(arguments_json: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as an object that fits `schema` as far as its first level. Raises ArgumentsInvalid."""
    if len(arguments_json) > MAX_ARGUMENTS_CHARS:
        raise ArgumentsInvalid("The arguments are too long.")
    try:
        arguments = orjson.loads(arguments_json)
    except orjson.JSONDecodeError as exc:
        raise ArgumentsInvalid("The arguments are not valid JSON.") from exc
    if not isinstance(arguments, dict):
        raise ArgumentsInvalid("The arguments must be a JSON object.")
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    unknown = sorted(arguments.keys() - known.keys())
    if unknown and schema.get("additionalProperties") is not True:
        raise ArgumentsInvalid(f"Unknown arguments: {', '.join(unknown)[:200]}.")
    missing = [name for name in schema.get("required", ()) if name not in arguments]
    if missing:
        raise ArgumentsInvalid(f"Missing arguments: {', '.join(missing)}.")
    for name, value in arguments.items():
        _check(name, value, known.get(name))
    return arguments


def _check(name: str, value: object, schema: object) -> None:
    if not isinstance(schema, dict):
        return
    choices = schema.get("enum")
    if isinstance(choices, list) and value not in choices:
        raise ArgumentsInvalid(f"{name} must be one of: {', '.join(map(str, choices))[:500]}.")
    variants = schema.get("anyOf")
    kinds = [each.get("type") for each in variants if isinstance(each, dict)] if isinstance(variants, list) else []
    kinds = kinds or (schema["type"] if isinstance(schema.get("type"), list) else [schema.get("type")])
    if all(kind in TYPES for kind in kinds) and not any(_is(value, str(kind)) for kind in kinds):
        raise ArgumentsInvalid(f"{name} must be of type {' or '.join(map(str, kinds))}.")


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])
