"""Reading JSON that request-manager passes on from another service as it stands."""

from pydantic import JsonValue


def items_of(value: JsonValue) -> list[dict[str, JsonValue]]:
    """The objects of a page, or of a bare list."""
    items = value.get("items") if isinstance(value, dict) else value
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def next_cursor_of(value: JsonValue) -> str:
    cursor = value.get("next_cursor") if isinstance(value, dict) else None
    return cursor if isinstance(cursor, str) else ""


def short_time(value: JsonValue) -> str:
    """2026-11-23 17:40 of an ISO 8601 instant."""
    return value[:16].replace("T", " ") if isinstance(value, str) else ""


def cells(item: dict[str, JsonValue], *names: str) -> list[object]:
    """The named fields; times shortened, an absent one empty."""
    return [short_time(item.get(name)) if name.endswith("_at") else item.get(name, "") for name in names]
