"""Finding what can be pressed in blocks, and what pressing it sends."""

from collections.abc import Iterator
from typing import Any

from local_stack.slack.errors import Refused
from local_stack.slack.records import Json

PRESSABLE = ("button", "static_select", "overflow", "radio_buttons", "checkboxes", "feedback_buttons", "icon_button")


def find_action(blocks: list[Json], key: str, value: str = "") -> Json:
    """What goes into `actions`: the element whose action id, value or words are `key`; `value` picks an option of it.

    Raises Refused: invalid_action_id."""
    for block, element in _elements(blocks):
        for action in _pressed(element, key, value):
            return {"action_id": element.get("action_id", ""), "block_id": block["block_id"], **action}
    raise Refused("invalid_action_id")


def labels(blocks: list[Json]) -> list[str]:
    """The words on everything that can be pressed, in order."""
    return [label for _, element in _elements(blocks) for label in _labels(element)]


def _elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    for block in blocks:
        for element in (*block.get("elements", []), block.get("accessory"), block.get("element")):
            if isinstance(element, dict) and element.get("type") in PRESSABLE:
                yield block, element


def _pressed(element: Json, key: str, value: str) -> Iterator[Json]:
    kind = element["type"]
    if kind == "feedback_buttons":
        for name in ("positive_button", "negative_button"):
            button = element[name]
            is_meant = key in (button["value"], button["text"]["text"]) or (
                key == element.get("action_id") and value == button["value"]
            )
            if is_meant:
                yield {"type": kind, "value": button["value"], "text": button["text"]}
    elif kind in ("button", "icon_button"):
        words = element.get("text", {})
        if key in (element.get("action_id"), element.get("value"), words.get("text")) and value in (
            "",
            element.get("value"),
        ):
            names = ("value", "style", "text", "url")
            yield {"type": kind, **{name: element[name] for name in names if name in element}}
    elif key == element.get("action_id"):
        chosen = [option for option in element.get("options", []) if option["value"] == value]
        if chosen:
            yield {
                "type": kind,
                ("selected_options" if kind == "checkboxes" else "selected_option"): _one(kind, chosen),
            }


def _one(kind: str, chosen: list[Json]) -> Any:
    return chosen if kind == "checkboxes" else chosen[0]


def _labels(element: Json) -> Iterator[str]:
    if element["type"] == "feedback_buttons":
        yield from (element[name]["text"]["text"] for name in ("positive_button", "negative_button"))
    elif "text" in element:
        yield element["text"]["text"]
