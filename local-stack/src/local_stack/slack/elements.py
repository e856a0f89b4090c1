"""The parts of blocks: texts, buttons, inputs, menus.

Source: https://docs.slack.dev/reference/block-kit/block-elements"""

from dataclasses import dataclass, field
from typing import Any

from local_stack.slack.records import Json

TEXT_KINDS = ("plain_text", "mrkdwn")
INPUT_KINDS = ("plain_text_input", "static_select", "radio_buttons", "checkboxes", "email_text_input")
ACTION_KINDS = ("button", "static_select", "overflow", "radio_buttons", "checkboxes")
ACCESSORY_EXTRA = ("image",)
MOST_OPTIONS = {"static_select": 100, "overflow": 5, "radio_buttons": 10, "checkboxes": 10}
FIELDS = {
    "button": ("text", "url", "value", "style", "confirm", "accessibility_label"),
    "static_select": ("placeholder", "options", "initial_option", "confirm", "focus_on_load"),
    "overflow": ("options", "confirm"),
    "radio_buttons": ("options", "initial_option", "confirm", "focus_on_load"),
    "checkboxes": ("options", "initial_options", "confirm", "focus_on_load"),
    "plain_text_input": (
        *("initial_value", "multiline", "min_length", "max_length", "placeholder"),
        *("dispatch_action_config", "focus_on_load"),
    ),
    "email_text_input": ("initial_value", "placeholder", "dispatch_action_config", "focus_on_load"),
    "feedback_buttons": ("positive_button", "negative_button"),
    "icon_button": ("icon", "text", "value", "confirm", "accessibility_label", "visible_to_user_ids"),
}


class Wrong(Exception):
    """`where` is a JSON pointer below the checked thing."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where

    def line(self, thing: str) -> str:
        return f"[ERROR] {self.what} [json-pointer:/{thing}{self.where}]"


@dataclass
class Checker:
    """What has been seen so far, and the checks that all kinds share. Raises Wrong."""

    in_view: bool
    block_ids: set[str] = field(default_factory=set)
    action_ids: set[str] = field(default_factory=set)
    markdown_characters: int = 0

    def fields(self, thing: Json, known: set[str], where: str) -> None:
        for name in thing:
            if name not in known:
                raise Wrong(f"invalid additional property: {name}", where)

    def string(self, thing: Json, name: str, where: str, *, most: int, is_required: bool = False) -> None:
        value = thing.get(name)
        if value is None and not is_required:
            return
        if not isinstance(value, str):
            raise Wrong(
                "must be a string" if value is not None else f"missing required field: {name}", f"{where}/{name}"
            )
        if is_required and not value:
            raise Wrong("must be more than 0 characters", f"{where}/{name}")
        if len(value) > most:
            raise Wrong(f"must be less than {most + 1} characters", f"{where}/{name}")

    def text(self, text: Any, where: str, *, most: int, kinds: tuple[str, ...] = TEXT_KINDS) -> None:
        if not isinstance(text, dict):
            raise Wrong("must be a text object", where)
        if text.get("type") not in kinds:
            raise Wrong(f"must be one of: {', '.join(kinds)}", f"{where}/type")
        own = {"emoji"} if text["type"] == "plain_text" else {"verbatim"}
        self.fields(text, {"type", "text", *own}, where)
        self.string(text, "text", where, most=most, is_required=True)

    def items(self, thing: Json, name: str, where: str, *, most: int, least: int = 1) -> list[Any]:
        value = thing.get(name, [])
        if not isinstance(value, list):
            raise Wrong("must be an array", f"{where}/{name}")
        if len(value) > most:
            raise Wrong(f"no more than {most} items allowed", f"{where}/{name}")
        if len(value) < least:
            raise Wrong(f"no fewer than {least} items allowed", f"{where}/{name}")
        return value

    def image(self, thing: Json, where: str) -> None:
        self.string(thing, "alt_text", where, most=2000, is_required=True)
        self.string(thing, "image_url", where, most=3000, is_required="slack_file" not in thing)


def check_element(
    checker: Checker, element: Any, where: str, *, is_input: bool = False, kinds: tuple[str, ...] = ()
) -> None:
    """Raises Wrong."""
    if not isinstance(element, dict):
        raise Wrong("must be an object", where)
    kind = str(element.get("type"))
    is_accessory = where.endswith("/accessory")
    if is_accessory and kind in ACCESSORY_EXTRA:
        checker.image(element, where)
        return
    if kind not in (kinds or (INPUT_KINDS if is_input else ACTION_KINDS)):
        raise Wrong(f"unsupported type: {kind}", f"{where}/type")
    checker.fields(element, {"type", "action_id", *FIELDS[kind]}, where)
    checker.string(element, "action_id", where, most=255)
    _unique_action(checker, element, where)
    if kind in MOST_OPTIONS:
        _options(checker, element, where, MOST_OPTIONS[kind])
    elif kind == "button":
        _button(checker, element, where)
    elif kind == "plain_text_input":
        _plain_text_input(checker, element, where)
    elif kind == "feedback_buttons":
        _feedback(checker, element, where)
    if element.get("confirm") is not None:
        _confirm(checker, element["confirm"], f"{where}/confirm")


def _unique_action(checker: Checker, element: Json, where: str) -> None:
    action_id = element.get("action_id")
    if action_id and action_id in checker.action_ids:
        raise Wrong(f"action_id '{action_id}' already exists", f"{where}/action_id")
    if action_id:
        checker.action_ids.add(action_id)


def _button(checker: Checker, element: Json, where: str) -> None:
    checker.text(element.get("text"), f"{where}/text", kinds=("plain_text",), most=75)
    checker.string(element, "value", where, most=2000)
    checker.string(element, "url", where, most=3000)
    checker.string(element, "accessibility_label", where, most=75)
    if element.get("style") not in (None, "primary", "danger"):
        raise Wrong("must be one of: primary, danger", f"{where}/style")


def _options(checker: Checker, element: Json, where: str, most: int) -> None:
    for place, option in enumerate(checker.items(element, "options", where, most=most)):
        at = f"{where}/options/{place}"
        if not isinstance(option, dict):
            raise Wrong("must be an object", at)
        checker.fields(option, {"text", "value", "description", "url"}, at)
        checker.text(option.get("text"), f"{at}/text", most=75)
        checker.string(option, "value", at, most=150, is_required=True)
    if element.get("placeholder") is not None:
        checker.text(element["placeholder"], f"{where}/placeholder", kinds=("plain_text",), most=150)


def _plain_text_input(checker: Checker, element: Json, where: str) -> None:
    checker.string(element, "initial_value", where, most=3000)
    longest = element.get("max_length", 3000)
    if not isinstance(longest, int) or not 1 <= longest <= 3000:
        raise Wrong("must be between 1 and 3000", f"{where}/max_length")
    if element.get("placeholder") is not None:
        checker.text(element["placeholder"], f"{where}/placeholder", kinds=("plain_text",), most=150)


def _feedback(checker: Checker, element: Json, where: str) -> None:
    for name in ("positive_button", "negative_button"):
        at, button = f"{where}/{name}", element.get(name)
        if not isinstance(button, dict):
            raise Wrong(f"missing required field: {name}", at)
        checker.fields(button, {"text", "value", "accessibility_label"}, at)
        checker.text(button.get("text"), f"{at}/text", kinds=("plain_text",), most=75)
        checker.string(button, "value", at, most=2000, is_required=True)
        checker.string(button, "accessibility_label", at, most=75)


def _confirm(checker: Checker, confirm: Any, where: str) -> None:
    if not isinstance(confirm, dict):
        raise Wrong("must be an object", where)
    checker.fields(confirm, {"title", "text", "confirm", "deny", "style"}, where)
    checker.text(confirm.get("title"), f"{where}/title", kinds=("plain_text",), most=100)
    checker.text(confirm.get("text"), f"{where}/text", most=300)
    checker.text(confirm.get("confirm"), f"{where}/confirm", kinds=("plain_text",), most=30)
    checker.text(confirm.get("deny"), f"{where}/deny", kinds=("plain_text",), most=30)
