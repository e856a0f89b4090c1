"""Which parts of a text call people: `<!channel>`, `<!here>`, `<!everyone>`, groups and single persons."""

import re
from collections.abc import Iterator
from typing import Any

from local_stack.slack.records import Json

CONTROL = re.compile(r"<(!channel|!here|!everyone|!subteam\^[A-Z0-9]+|@[UW][A-Z0-9]+)(?:\|[^>]*)?>")


def pings_in(text: str, blocks: list[Json]) -> list[str]:
    """The controls that Slack would act on, as `!channel` or `@U123`; plain_text objects call nobody."""
    return [found for each in (text, *_mrkdwn(blocks)) for found in CONTROL.findall(each)]


def _mrkdwn(thing: Any) -> Iterator[str]:
    if isinstance(thing, list):
        for each in thing:
            yield from _mrkdwn(each)
    elif isinstance(thing, dict):
        if thing.get("type") in ("mrkdwn", "markdown") and isinstance(thing.get("text"), str):
            yield thing["text"]
        for value in thing.values():
            yield from _mrkdwn(value)
