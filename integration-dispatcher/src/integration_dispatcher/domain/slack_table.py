"""A table for Slack, which shows none in text: in columns of a fenced block, or row by row where that is too wide. Pure."""

from collections.abc import Sequence

from wcwidth import wcswidth

from integration_dispatcher.domain.slack_text import Run, plain

MAX_WIDTH = 72
GAP = "  "

type Cell = list[Run]


def table(rows: Sequence[Sequence[Cell]]) -> list[Run]:
    """The first row is the header. Links do not work in a fenced block, so a table with some is written row by row."""
    texts = [[plain(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(_width(cell) for cell in column) for column in zip(*texts, strict=False)]
    has_links = any(run.url for row in rows for cell in row for run in cell)
    if has_links or sum(widths) + len(GAP) * (len(widths) - 1) > MAX_WIDTH:
        return _row_by_row(rows)
    lines = [_line(texts[0], widths), GAP.join("─" * width for width in widths)]
    lines += [_line(row, widths) for row in texts[1:]]
    return [Run("\n".join(lines) + "\n", is_code=True)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    return GAP.join(padded).rstrip()


def _row_by_row(rows: Sequence[Sequence[Cell]]) -> list[Run]:
    """Each cell on a line of its own behind its column's name; a table of a header alone is that line."""
    header = rows[0]
    runs: list[Run] = []
    for row in rows[1:] or [header]:
        if runs:
            runs.append(Run("\n"))
        for name, cell in zip(header, row, strict=True):
            label = [Run(plain(name), "*"), Run(": ")] if row is not header and plain(name) else []
            runs += [*label, *cell, Run("\n")]
    return runs[:-1]


def _width(text: str) -> int:
    """In columns of a fixed-width font; text with control characters by its length."""
    width = wcswidth(text)
    return width if width >= 0 else len(text)
