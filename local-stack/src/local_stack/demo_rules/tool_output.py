"""What a tool answered, read from the text of a tool message, also when the text was cut short."""

import json
from dataclasses import dataclass
from typing import Any

MAX_ERROR_CHARACTERS = 600
_CLOSERS = {"{": "}", "[": "]"}


@dataclass(frozen=True)
class ToolOutput:
    """Either `data` (the JSON object the tool returned) or `error` (why there is none, in the tool's words)."""

    data: dict[str, Any] | None
    error: str | None


def read_tool_output(text: str) -> ToolOutput:
    """An object is data, unless it carries an error; everything else is a failure told in words."""
    value = read_json(text)
    if not isinstance(value, dict):
        return ToolOutput(None, _plain(text))
    error = value.get("error")
    if error:
        return ToolOutput(None, _plain(_message_of(error)))
    if value.get("isError") or value.get("is_error"):
        return ToolOutput(None, _plain(_message_of(value)))
    return ToolOutput(value, None)


def read_json(text: str) -> Any:
    """The JSON value at the start of `text`; what follows it is ignored, a value cut short is closed. None if there is none."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return _read_cut(text)


def _read_cut(text: str) -> Any:
    """Keep what was complete: cut behind the last value that ended and close what was open there."""
    for end, closers in reversed(_ends_of_values(text)):
        try:
            return json.loads(text[:end] + closers)
        except (ValueError, RecursionError):
            continue
    return None


def _ends_of_values(text: str) -> list[tuple[int, str]]:
    """The last places where a list item or a member of an object may have ended, with the brackets missing there."""
    open_brackets: list[str] = []
    ends: list[tuple[int, str]] = []
    in_string = escaped = False
    for at, character in enumerate(text):
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
            continue
        if character == '"':
            in_string = True
        elif character in _CLOSERS:
            open_brackets.append(_CLOSERS[character])
        elif character == ",":
            ends.append((at, "".join(reversed(open_brackets))))
        elif character in "}]":
            if not open_brackets:
                break
            open_brackets.pop()
            ends.append((at + 1, "".join(reversed(open_brackets))))
    return ends[-3:]


def _message_of(value: Any) -> str:
    if isinstance(value, dict):
        for key in ("message", "detail", "text", "content"):
            if isinstance(value.get(key), str):
                return str(value[key])
    return value if isinstance(value, str) else ""


def _plain(text: str) -> str:
    words = " ".join(text.split())
    for prefix in ("error executing tool", "error:", "error"):
        if words.lower().startswith(prefix):
            words = words[len(prefix) :].lstrip(" :")
            break
    return words[:MAX_ERROR_CHARACTERS] or "The tool gave no answer."
