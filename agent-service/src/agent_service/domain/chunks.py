"""Cuts a document into passages that can be found and cited: along its headings, then along its paragraphs."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_CHARS = 1_200
"""About 200 words: what a small encoder reads whole, and a person as one citation."""

HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
FENCE = re.compile(r"^[ \t]*(```|~~~)")
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
BETWEEN_HEADINGS = " > "


@dataclass(frozen=True)
class Part:
    """A stretch of a document under one heading (or of one page)."""

    section: str
    text: str


@dataclass(frozen=True)
class Chunk:
    """`text` holds no heading: it stands in `section`."""

    section: str
    text: str


def markdown_parts(text: str) -> tuple[str, list[Part]]:
    """The title (the first heading of the first level, or "") and the parts between the headings.

    A section is named by its headings below the title: "Offers in EMEA > EMEA 2: MacBook Pro"."""
    title = ""
    headings: dict[int, str] = {}
    lines: list[str] = []
    parts: list[Part] = []
    in_fence = False

    def close() -> None:
        body = "\n".join(lines).strip()
        if body:
            parts.append(Part(BETWEEN_HEADINGS.join(headings[level] for level in sorted(headings)), body))
        lines.clear()

    for line in text.splitlines():
        in_fence ^= FENCE.match(line) is not None
        heading = None if in_fence else HEADING.match(line)
        if heading is None:
            lines.append(line)
            continue
        close()
        level, words = len(heading[1]), heading[2]
        if level == 1 and not title:
            title = words
            continue
        headings = {above: name for above, name in headings.items() if above < level} | {level: words}
    close()
    return title, parts


def cut(parts: Iterable[Part], most: int = MAX_CHARS) -> list[Chunk]:
    """Whole paragraphs together up to `most` characters; a longer paragraph by its lines, sentences, words."""
    chunks: list[Chunk] = []
    for part in parts:
        chunks += [Chunk(part.section, text) for text in _packed(_pieces(part.text, most), most)]
    return chunks


def _packed(pieces: Iterable[tuple[str, str]], most: int) -> Iterator[str]:
    """Joins pieces, each with what stands before it, as long as they fit."""
    text = ""
    for joint, piece in pieces:
        if text and len(text) + len(joint) + len(piece) > most:
            yield text
            text = ""
        text = f"{text}{joint}{piece}" if text else piece
    if text:
        yield text


def _pieces(text: str, most: int) -> Iterator[tuple[str, str]]:
    """Pieces of at most `most` characters, with the joint that leads to each."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        yield from _smaller("\n\n", paragraph.strip("\n").rstrip(), most)


def _smaller(joint: str, text: str, most: int) -> Iterator[tuple[str, str]]:
    if not text.strip():
        return
    if len(text) <= most:
        yield joint, text
        return
    lines = text.split("\n")
    if len(lines) > 1:
        inner = "\n"
    else:
        inner, lines = " ", SENTENCE_END.split(text)
    if len(lines) == 1:
        lines = text.split()
    if len(lines) == 1:
        lines, inner = [text[start : start + most] for start in range(0, len(text), most)], ""
    for at, line in enumerate(lines):
        yield from _smaller(joint if at == 0 else inner, line, most)
