"""A model's Markdown as runs of text for Slack. Nothing of it is read as Slack's own syntax. Pure.

Source: https://spec.commonmark.org/ with GitHub's tables and strikethrough; what Slack cannot show is written out."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from markdown_it import MarkdownIt
from markdown_it.token import Token

from integration_dispatcher.domain.slack_links import BARE_URL, TRAILING, is_misleading, usable_url
from integration_dispatcher.domain.slack_table import table
from integration_dispatcher.domain.slack_text import CODE_MARK, Run, joined, plain

RULE = "———"
BULLET = "• "
INDENT = "    "
MARKS = {"strong": "*", "em": "_", "s": "~"}

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def runs_of(markdown: str) -> list[Run]:
    """The whole text, in order."""
    walk = _Walk()
    walk.blocks(_MARKDOWN.parse(markdown))
    return walk.runs


class _Walk:
    """Goes through the tokens once. `lists` holds the next number of each open list, None where it has bullets."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._lists: list[int | None] = []
        self._quotes = 0
        self._marker = ""

    def blocks(self, tokens: Sequence[Token]) -> None:
        rest = iter(tokens)
        for token in rest:
            match token.type:
                case "inline":
                    self._paragraph(inline_runs(token))
                case "heading_open":
                    self._paragraph(joined([_marked(run, "*") for run in inline_runs(next(rest))]))
                case "fence" | "code_block":
                    self._block([Run(_ended(token.content), is_code=True)])
                case "hr":
                    self._paragraph([Run(RULE)])
                case "table_open":
                    self._block(table(_rows(rest)))
                case "html_block":
                    self._paragraph([Run(token.content.rstrip("\n"))])
                case other:
                    self._structure(other, token)

    def _structure(self, kind: str, token: Token) -> None:
        match kind:
            case "bullet_list_open":
                self._lists.append(None)
            case "ordered_list_open":
                start = token.attrGet("start")
                self._lists.append(1 if start is None else int(start))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open":
                self._item()
            case "list_item_close":
                self._empty_item()
            case "blockquote_open":
                self._quotes += 1
            case "blockquote_close":
                self._quotes -= 1

    def _item(self) -> None:
        self._empty_item()
        number = self._lists[-1]
        if number is None:
            self._marker = BULLET
        else:
            self._marker = f"{number}. "
            self._lists[-1] = number + 1

    def _empty_item(self) -> None:
        """An item without text is written as well."""
        if self._marker:
            self._paragraph([])

    def _paragraph(self, runs: list[Run]) -> None:
        """Each line begins with the quote's sign and the list's indentation."""
        depth = len(self._lists)
        quote = "> " * min(self._quotes, 1)
        first = quote + INDENT * max(depth - 1, 0) + (self._marker or INDENT * (depth > 0))
        self._marker = ""
        self._gap()
        if first:
            self.runs.append(Run(first))
        further = quote + INDENT * depth
        self.runs += [replace(run, text=run.text.replace("\n", "\n" + further)) for run in runs]

    def _block(self, runs: list[Run]) -> None:
        if self._marker:
            self._paragraph([])
        self._gap()
        self.runs += runs

    def _gap(self) -> None:
        if self.runs:
            self.runs.append(Run("\n" if self._lists or self._quotes else "\n\n"))


def _rows(tokens: Iterator[Token]) -> list[list[list[Run]]]:
    """The cells of a table, row by row, the header first; stands behind the table afterwards."""
    rows: list[list[list[Run]]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(inline_runs(token))
        elif token.type == "table_close":
            break
    return rows


def inline_runs(token: Token) -> list[Run]:
    """The runs of one paragraph, heading or cell."""
    runs: list[Run] = []
    marks: list[str] = []
    link: tuple[str, int] | None = None
    for child in token.children or []:
        kind, _, edge = child.type.rpartition("_")
        if kind in MARKS:
            _open_or_close(marks, MARKS[kind], is_open=edge == "open")
        elif child.type == "link_open":
            link = str(child.attrGet("href") or ""), len(runs)
        elif child.type == "link_close" and link is not None:
            href, begin = link
            runs[begin:], link = linked(runs[begin:], href), None
        else:
            runs += _leaf(child, "".join(dict.fromkeys(marks)), is_linked=link is not None)
    return joined(runs)


def _open_or_close(marks: list[str], mark: str, *, is_open: bool) -> None:
    if is_open:
        marks.append(mark)
    else:
        marks.remove(mark)


def _leaf(token: Token, marks: str, *, is_linked: bool) -> list[Run]:
    match token.type:
        case "softbreak" | "hardbreak":
            return [Run(" " if is_linked else "\n")]
        case "code_inline":
            return [Run(token.content, CODE_MARK + marks)]
        case "image" if is_linked:
            return [Run(token.content, marks)]
        case "image":
            return linked([Run(token.content, marks)], str(token.attrGet("src") or ""))
        case _:
            return [Run(token.content, marks)] if is_linked else _with_bare_urls(token.content, marks)


def linked(runs: list[Run], href: str) -> list[Run]:
    """A link where it leads to what it says; else the words, and the address as text behind them."""
    label, url = plain(runs), usable_url(href)
    if not label.strip():
        return [Run(url or href, url=url)]
    if not url:
        return runs if href in label else [*runs, Run(f" ({href})")]
    if is_misleading(label, url):
        return [*runs, Run(" ("), Run(url, url=url), Run(")")]
    return [replace(run, url=url) for run in runs]


def _with_bare_urls(text: str, marks: str) -> list[Run]:
    runs, at = [], 0
    for found in BARE_URL.finditer(text):
        bare = found.group().rstrip(TRAILING)
        if usable_url(bare) != bare:
            continue
        runs += [Run(text[at : found.start()], marks), Run(bare, marks, url=bare)]
        at = found.start() + len(bare)
    return [run for run in [*runs, Run(text[at:], marks)] if run.text]


def _marked(run: Run, mark: str) -> Run:
    return run if mark in run.marks else replace(run, marks=run.marks + mark)


def _ended(code: str) -> str:
    return code if code.endswith("\n") else code + "\n"
