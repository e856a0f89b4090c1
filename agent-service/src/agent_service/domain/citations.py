"""Which passages an answer stands on."""

import re
from collections.abc import Sequence

from shared_models.schemas import Citation

from agent_service.domain.ports import Passage

NAMED = re.compile(r"\[([^\[\]\n]{1,200}),\s*([^\[\]\n]{1,200})\]")
UNNAMED_AT_MOST = 2
EXCERPT_CHARS = 300


def citations_of(text: str, passages: Sequence[Passage]) -> list[Citation]:
    """The passages named in `text` as [document, section]; if it names none, the best that were found for it."""
    found: dict[tuple[str, str], Passage] = {}
    for passage in passages:
        found.setdefault((_key(passage.document), _key(passage.section)), passage)
    named = [(_key(document), _key(section)) for document, section in NAMED.findall(text)]
    used = [found[place] for place in dict.fromkeys(named) if place in found]
    if not used:
        used = sorted(found.values(), key=lambda passage: -passage.score)[:UNNAMED_AT_MOST]
    return [Citation(document=each.document, section=each.section, text=_excerpt(each.text)) for each in used]


def _key(text: str) -> str:
    return " ".join(text.lower().split())


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT_CHARS else line[:EXCERPT_CHARS] + "…"
