"""Markdown as plain text of simple characters, for what shows no formatting. Pure."""

import unicodedata
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

MAX_MARKDOWN_CHARS = 16_000
MAX_CHARS = 4000

_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

# Typography that would make a whole message UCS-2, at less than half the room; and what must not be seen in a text.
_SIMPLER = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("•·●▪", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\t", " "),
        **dict.fromkeys("\u200b\u2060\ufeff\u00ad\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"),
        "…": "...",
        "→": "->",
        "×": "x",
        "✓": "ok",
        "\u2028": "\n",
        "\u2029": "\n",
        "\r": "\n",
    }
)


def plain(markdown: str) -> str:
    """Markdown without its marks. A link keeps its address, a table is one line per row."""
    text = _Writer().write(_MARKDOWN.parse(markdown[:MAX_MARKDOWN_CHARS]))
    text = unicodedata.normalize("NFC", text).translate(_SIMPLER)
    text = "".join(each for each in text if each == "\n" or unicodedata.category(each) != "Cc")
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return "\n".join(line for line in lines if line)[:MAX_CHARS]


class _Writer:
    """Walks the tokens of a document. `_mark` is what the next line begins with, `_numbers` the lists that are open."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._mark = ""
        self._numbers: list[int | None] = []
        self._cells: list[str] | None = None

    def write(self, tokens: Sequence[Token]) -> str:
        for token in tokens:
            self._take(token)
        return "\n".join(self._lines)

    def _take(self, token: Token) -> None:
        match token.type:
            case "ordered_list_open":
                self._numbers.append(int(token.attrGet("start") or 1))
            case "bullet_list_open":
                self._numbers.append(None)
            case "ordered_list_close" | "bullet_list_close":
                self._numbers.pop()
            case "list_item_open":
                self._mark = self._next_mark()
            case "tr_open":
                self._cells = []
            case "tr_close":
                self._lines.append(", ".join(each for each in self._cells or [] if each))
                self._cells = None
            case "inline" if self._cells is not None:
                self._cells.append(_inline(token.children or []))
            case "inline":
                self._line(_inline(token.children or []))
            case "fence" | "code_block" | "html_block":
                self._line(token.content)

    def _line(self, text: str) -> None:
        self._lines.append(self._mark + text)
        self._mark = ""

    def _next_mark(self) -> str:
        number = self._numbers[-1]
        if number is None:
            return "- "
        self._numbers[-1] = number + 1
        return f"{number}. "


def _inline(tokens: Sequence[Token]) -> str:
    """The text of a line. What a link shows and where it goes are both told, unless they are the same."""
    text, begins_at, address = "", 0, ""
    for token in tokens:
        match token.type:
            case "softbreak" | "hardbreak":
                text += "\n"
            case "link_open":
                begins_at, address = len(text), str(token.attrGet("href") or "")
            case "link_close":
                shown = text[begins_at:]
                text += "" if not address or shown in address else f" ({address})"
            case _:
                text += token.content
    return text
