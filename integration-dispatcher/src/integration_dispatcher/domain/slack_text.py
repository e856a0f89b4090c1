"""Text for Slack: runs of one look each, written as mrkdwn and cut where Slack's limits ask for it. Pure.

Lengths are UTF-16 units of the written form, escapes and markers included: the largest of the ways to count.
Source: https://docs.slack.dev/messaging/formatting-message-text"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from wcwidth import grapheme_boundary_before

# Shows nothing and joins nothing: keeps markers apart from letters, and backticks apart from each other.
BREAK = "\u200b"
FENCE = "```"
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
ESCAPED_LENGTHS = {"&": 5, "<": 4, ">": 4}
CODE_MARK = "`"
SEPARATORS = ("\n\n", "\n", " ")


@dataclass(frozen=True)
class Run:
    """Text of one look. `marks`: the markers around it, of * _ ~ and `; `url`: where it leads; `is_code`: a fenced block."""

    text: str
    marks: str = ""
    url: str = ""
    is_code: bool = False

    @property
    def frame(self) -> int:
        """What the markers of one line need at most."""
        if self.is_code:
            return 2 * len(FENCE) + 2
        frame = 2 * len(self.marks) + 2 if self.marks else 0
        return frame + length(escape(self.url)) + 3 if self.url else frame


def escape(text: str) -> str:
    """With the only three characters that Slack reads as its own syntax as entities: no mention survives this."""
    return text.translate(ESCAPES)


def length(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def plain(runs: Sequence[Run]) -> str:
    return "".join(run.text for run in runs)


def joined(runs: Sequence[Run]) -> list[Run]:
    """Neighbours of the same look as one."""
    found: list[Run] = []
    for run in runs:
        if found and replace(found[-1], text="") == replace(run, text=""):
            found[-1] = replace(run, text=found[-1].text + run.text)
        elif run.text:
            found.append(run)
    return found


def write(runs: Sequence[Run]) -> str:
    """The runs as mrkdwn. Text that shows nothing at all would be refused as empty, so it is given a character that shows nothing."""
    before = ["", *(run.text for run in runs)]
    after = [*(run.text for run in runs[1:]), ""]
    written = "".join(
        _write(run, last[-1:], following[:1]) for run, last, following in zip(runs, before, after, strict=False)
    )
    return written if written.strip() else BREAK + written


def _write(run: Run, last: str, following: str) -> str:
    if run.is_code:
        return _fenced(run.text)
    if not run.marks and not run.url:
        return escape(run.text)
    lines = run.text.split("\n")
    written = [_write_line(run, line) for line in lines]
    before = BREAK if run.marks and last.isalnum() and run.text[0] not in " \n" else ""
    behind = BREAK if run.marks and following.isalnum() and run.text[-1] not in " \n" else ""
    return before + "\n".join(written) + behind


def _write_line(run: Run, line: str) -> str:
    """Markers count only around something, and never across a line's end."""
    core = line.strip()
    if not core:
        return line
    start = line.index(core)
    text = f"<{escape(run.url)}|{escape(core)}>" if run.url else escape(core)
    if run.url == core:
        text = f"<{escape(core)}>"
    for mark in run.marks:
        if mark != CODE_MARK or CODE_MARK not in core:
            text = f"{mark}{text}{mark}"
    return line[:start] + text + line[start + len(core) :]


def _fenced(text: str) -> str:
    inner = escape(text).replace("``", f"`{BREAK}`")
    return f"{FENCE}\n{inner}{BREAK if inner.endswith(CODE_MARK) else ''}{FENCE}"


def cut(runs: Sequence[Run], limit: int) -> list[list[Run]]:
    """Pieces that need at most `limit` when written; joined they are the same text. Each closes and reopens its markers.

    Cut at an empty line, else a line's end, else a space, of the second half; else between two graphemes, and within
    one only where a single one is too long."""
    return _Flow([run for run in runs if run.text]).cut(limit)


class _Flow:
    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs
        self._text = plain(runs)
        self._starts = list(accumulate((len(run.text) for run in runs), initial=0))
        weights = (weight for run in runs for weight in _weights(run))
        self._sums = list(accumulate(weights, initial=0))

    def cut(self, limit: int) -> list[list[Run]]:
        pieces, start = [], 0
        while start < len(self._text):
            end = self._end(start, limit)
            pieces.append(self._slice(start, end))
            start = end
        return pieces

    def _end(self, start: int, limit: int) -> int:
        index = self._index(start)
        reopened = self._runs[index].frame if start > self._starts[index] else 0
        room = self._sums[start] + limit - reopened
        end = max(bisect_right(self._sums, room) - 1, start + 1)
        return end if end >= len(self._text) else self._boundary(start, end)

    def _boundary(self, start: int, end: int) -> int:
        half = start + (end - start) // 2
        found = (self._text.rfind(each, half, end) + len(each) for each in SEPARATORS)
        at = next((each for each in found if each > half), end)
        index = self._index(at)
        if self._runs[index].url and self._starts[index] > start:
            at = self._starts[index]
        at = grapheme_boundary_before(self._text, at + 1)
        return at if at > start else end

    def _index(self, at: int) -> int:
        return bisect_right(self._starts, at) - 1

    def _slice(self, start: int, end: int) -> list[Run]:
        first, last = self._index(start), self._index(end - 1)
        return [
            replace(run, text=run.text[max(start - begin, 0) : end - begin])
            for run, begin in zip(self._runs[first : last + 1], self._starts[first:], strict=False)
        ]


def _weights(run: Run) -> list[int]:
    """What each character needs; a run's first one, and the first of each further line, bears the markers."""
    frame = run.frame
    weights = [ESCAPED_LENGTHS.get(character, 1 + (character > "\uffff")) for character in run.text]
    weights[0] += frame
    if run.is_code:
        return [weight + (character == CODE_MARK) for weight, character in zip(weights, run.text, strict=True)]
    if frame:
        return [weight + frame * (character == "\n") for weight, character in zip(weights, run.text, strict=True)]
    return weights
