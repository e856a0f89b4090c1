"""An answer as Slack messages: where each goes, and its blocks within Slack's limits. Pure.

Source: https://docs.slack.dev/reference/block-kit/blocks/section-block (3,000 characters), 50 blocks in a message; near
13,200 characters in all, Slack answers `msg_blocks_too_long` (https://github.com/slackapi/bolt-js/issues/2509)."""

from dataclasses import asdict, dataclass
from itertools import batched
from typing import Any

import orjson
from shared_models.schemas import AgentResponse

from integration_dispatcher.domain.slack_buttons import buttons, note
from integration_dispatcher.domain.slack_format import runs_of
from integration_dispatcher.domain.slack_text import cut, escape, write

type Json = dict[str, Any]

SECTION_LIMIT = 2900
SECTIONS_OF_MESSAGE = 3
MOVED = (
    "The answer is meant for one person alone, so I have sent it to them as a direct message. "
    "To go on, write here in the thread, or press a button there."
)
ABOUT = "About your question in <#{channel}>. To go on, write in the thread there, or press a button here."
MAX_SOURCES = 5
MAX_SOURCE_LENGTH = 200


@dataclass(frozen=True)
class Place:
    """A channel, with the thread in it; or the direct message with the Slack user `user`, or with whoever has `email`."""

    channel: str = ""
    thread: str = ""
    user: str = ""
    email: str = ""

    @property
    def is_public(self) -> bool:
        """Others may read it: everything but a direct message, whose id begins with D."""
        return bool(self.channel) and not self.channel.startswith("D")


@dataclass(frozen=True)
class Post:
    """One message. `place` and `blocks` as they are planned, and stored until it is sent."""

    place: Place
    blocks: list[Json]

    def dump(self) -> str:
        return orjson.dumps({"place": asdict(self.place), "blocks": self.blocks}).decode()

    @staticmethod
    def load(body: str) -> "Post":
        value = orjson.loads(body)
        return Post(Place(**value.get("place", {})), value.get("blocks", []))


def is_personal(answer: AgentResponse) -> bool:
    """True when the answer holds what a system knows of the person, or asks them to decide: a tool server was used."""
    response = answer.response
    return response is not None and (response.confirmation is not None or any(tool.server for tool in response.tools))


def asked_at(answer: AgentResponse) -> Place:
    """Where in Slack the question was asked; nowhere when it came another way."""
    wish = answer.delivery
    if wish is None or wish.mode != "origin":
        return Place()
    names = {"channel": "channel_id", "thread": "thread_id", "user": "slack_user_id"}
    return Place(**{name: str(wish.context.get(key) or "") for name, key in names.items()})


def place_of(answer: AgentResponse, channel: str) -> Place:
    """Where the answer goes. `channel`: the person's own choice for answers that were not asked for in Slack."""
    asked = asked_at(answer)
    place = asked if asked.channel else Place(channel=channel)
    if place.channel and not (place.is_public and is_personal(answer)):
        return place
    return Place(user=asked.user, email=answer.person.email)


def target_of(answer: AgentResponse, channel: str) -> str:
    place = place_of(answer, channel)
    if place.channel:
        return f"{place.channel}/{place.thread}".rstrip("/")
    return f"direct message/{answer.person.user_id}"


def posts_of(answer: AgentResponse, markdown: str, channel: str) -> list[Post]:
    """The messages in order. One that is personal and was asked for in public goes to the person, with a note where it was asked."""
    asked, place = asked_at(answer), place_of(answer, channel)
    is_moved = asked.is_public and not place.channel
    sections = [_section(write(piece)) for piece in cut(runs_of(markdown), SECTION_LIMIT)] or [_section(write([]))]
    if is_moved:
        sections[:0] = [note(ABOUT.format(channel=escape(asked.channel)))]
    messages = [list(batch) for batch in batched(sections, SECTIONS_OF_MESSAGE)]
    messages[-1] += [*_sources(answer), *buttons(answer)]
    posts = [Post(place, blocks) for blocks in messages]
    if is_moved:
        posts.append(Post(asked, [_section(MOVED)]))
    return posts


def text_of(blocks: list[Json]) -> str:
    """What notifications and screen readers get: the words of the first block that has some."""
    for block in blocks:
        if block.get("type") == "section":
            return str(block["text"]["text"])
    return "…"


def _section(text: str) -> Json:
    """`verbatim`: what only looks like a channel or a name stays text."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _sources(answer: AgentResponse) -> list[Json]:
    """The documents that the answer cites, once each."""
    cited = answer.response.citations if answer.response is not None else []
    names = [" – ".join(filter(None, (each.document, each.section)))[:MAX_SOURCE_LENGTH] for each in cited]
    listed = list(dict.fromkeys(names))[:MAX_SOURCES]
    return [note("Sources: " + escape("; ".join(listed)))] if listed else []
