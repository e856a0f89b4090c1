"""What Slack refuses in blocks and views: unknown kinds, missing and unknown fields, and everything over its limits.

Source: https://docs.slack.dev/reference/block-kit/blocks"""

from collections.abc import Callable, Iterator
from typing import Any

from local_stack.slack.elements import Checker, Wrong, check_element
from local_stack.slack.errors import Refused
from local_stack.slack.records import Json

MOST_IN_MESSAGE, MOST_IN_VIEW = 50, 100
MOST_CHARACTERS = 13_200  # not documented: observed by callers
MARKDOWN_CHARACTERS = 12_000
VIEW_BYTES = 250_000

type Rule = Callable[[Checker, Json, str], None]


def check_message_blocks(blocks: Any) -> list[Json]:
    """Return the blocks with a `block_id` each. Raises Refused: invalid_blocks, invalid_blocks_format, msg_blocks_too_long."""
    checked = _checked(blocks, MOST_IN_MESSAGE, in_view=False)
    if sum(len(text) for text in texts(checked)) > MOST_CHARACTERS:
        raise Refused("msg_blocks_too_long")
    return checked


def check_view(view: Any) -> Json:
    """Raises Refused: invalid_arguments for a view that Slack would not show."""
    if not isinstance(view, dict):
        raise Refused("invalid_arguments", response_metadata={"messages": ["[ERROR] must be an object [view]"]})
    checker = Checker(in_view=True)
    try:
        if view.get("type") != "modal":
            raise Wrong("unsupported type", "/type")
        checker.text(view.get("title"), "/title", kinds=("plain_text",), most=24)
        for name in ("submit", "close"):
            if view.get(name) is not None:
                checker.text(view[name], f"/{name}", kinds=("plain_text",), most=24)
        checker.string(view, "private_metadata", "", most=3000)
        checker.string(view, "callback_id", "", most=255)
        blocks = _checked(view.get("blocks"), MOST_IN_VIEW, in_view=True)
        if any(block["type"] == "input" for block in blocks) and view.get("submit") is None:
            raise Wrong("a modal with input blocks needs a submit button", "/submit")
    except Wrong as wrong:
        raise Refused("invalid_arguments", response_metadata={"messages": [wrong.line("view")]}) from wrong
    except Refused as refused:
        raise Refused("invalid_arguments", **refused.details) from refused
    return {**view, "blocks": blocks}


def texts(blocks: list[Json]) -> Iterator[str]:
    """Every text that a person reads in these blocks."""
    for block in blocks:
        yield from _texts(block)


def _texts(thing: Any) -> Iterator[str]:
    if isinstance(thing, list):
        for each in thing:
            yield from _texts(each)
    elif isinstance(thing, dict):
        if isinstance(thing.get("text"), str):
            yield thing["text"]
        for name, value in thing.items():
            if name != "confirm":
                yield from _texts(value)


def _checked(blocks: Any, most: int, *, in_view: bool) -> list[Json]:
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise Refused("invalid_blocks_format")
    checker = Checker(in_view=in_view)
    try:
        if len(blocks) > most:
            raise Wrong(f"no more than {most} items allowed", "")
        return [_check(checker, block, place) for place, block in enumerate(blocks)]
    except Wrong as wrong:
        raise Refused("invalid_blocks", response_metadata={"messages": [wrong.line("blocks")]}) from wrong


def _check(checker: Checker, block: Json, place: int) -> Json:
    where = f"/{place}"
    rule = RULES.get(str(block.get("type")))
    if rule is None:
        raise Wrong(f"unsupported type: {block.get('type')}", f"{where}/type")
    fields, check = rule
    checker.fields(block, {"type", "block_id", *fields}, where)
    checker.string(block, "block_id", where, most=255)
    check(checker, block, where)
    block_id = block.get("block_id") or f"b{place}"
    if block_id in checker.block_ids:
        raise Wrong(f"block_id '{block_id}' already exists", f"{where}/block_id")
    checker.block_ids.add(block_id)
    return {**block, "block_id": block_id}


def _section(checker: Checker, block: Json, where: str) -> None:
    fields = block.get("fields")
    if block.get("text") is None and not fields:
        raise Wrong("missing required field: text", where)
    if block.get("text") is not None:
        checker.text(block["text"], f"{where}/text", most=3000)
    for place, each in enumerate(checker.items(block, "fields", where, most=10, least=0)):
        checker.text(each, f"{where}/fields/{place}", most=2000)
    if block.get("accessory") is not None:
        check_element(checker, block["accessory"], f"{where}/accessory")


def _header(checker: Checker, block: Json, where: str) -> None:
    checker.text(block.get("text"), f"{where}/text", kinds=("plain_text",), most=150)


def _context(checker: Checker, block: Json, where: str) -> None:
    for place, each in enumerate(checker.items(block, "elements", where, most=10)):
        at = f"{where}/elements/{place}"
        if isinstance(each, dict) and each.get("type") == "image":
            checker.image(each, at)
        else:
            checker.text(each, at, most=3000)


def _actions(checker: Checker, block: Json, where: str) -> None:
    checker.action_ids.clear()
    for place, each in enumerate(checker.items(block, "elements", where, most=25)):
        check_element(checker, each, f"{where}/elements/{place}")


def _context_actions(checker: Checker, block: Json, where: str) -> None:
    checker.action_ids.clear()
    for place, each in enumerate(checker.items(block, "elements", where, most=5)):
        check_element(checker, each, f"{where}/elements/{place}", kinds=("feedback_buttons", "icon_button"))


def _input(checker: Checker, block: Json, where: str) -> None:
    checker.text(block.get("label"), f"{where}/label", kinds=("plain_text",), most=2000)
    if block.get("hint") is not None:
        checker.text(block["hint"], f"{where}/hint", kinds=("plain_text",), most=2000)
    checker.action_ids.clear()
    check_element(checker, block.get("element"), f"{where}/element", is_input=True)


def _image(checker: Checker, block: Json, where: str) -> None:
    checker.image(block, where)
    if block.get("title") is not None:
        checker.text(block["title"], f"{where}/title", kinds=("plain_text",), most=2000)


def _markdown(checker: Checker, block: Json, where: str) -> None:
    if checker.in_view:
        raise Wrong("unsupported type: markdown", f"{where}/type")
    checker.string(block, "text", where, most=MARKDOWN_CHARACTERS, is_required=True)
    checker.markdown_characters += len(block["text"])
    if checker.markdown_characters > MARKDOWN_CHARACTERS:
        raise Wrong(f"no more than {MARKDOWN_CHARACTERS} characters in all markdown blocks", f"{where}/text")


def _divider(checker: Checker, block: Json, where: str) -> None:
    return


def _rich_text(checker: Checker, block: Json, where: str) -> None:
    for place, each in enumerate(checker.items(block, "elements", where, most=1000)):
        kinds = ("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")
        if not isinstance(each, dict) or each.get("type") not in kinds:
            raise Wrong("unsupported type", f"{where}/elements/{place}/type")


RULES: dict[str, tuple[tuple[str, ...], Rule]] = {
    "section": (("text", "fields", "accessory", "expand"), _section),
    "header": (("text", "level"), _header),
    "context": (("elements",), _context),
    "actions": (("elements",), _actions),
    "context_actions": (("elements",), _context_actions),
    "input": (("label", "element", "dispatch_action", "hint", "optional"), _input),
    "image": (("image_url", "alt_text", "title", "slack_file"), _image),
    "markdown": (("text",), _markdown),
    "divider": ((), _divider),
    "rich_text": (("elements",), _rich_text),
}
